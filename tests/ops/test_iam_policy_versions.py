"""Versions of managed policies."""

from __future__ import annotations

import pytest

from tests.support.iam import Iam, allow, document, make_policy, make_user, refusal
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


async def test_version_that_counts_is_the_default_one(store: Store, iam: Iam) -> None:
    ann = await make_user(store, "ann")
    arn = await make_policy(store, "p", allow("s3:GetObject"))
    await iam("AttachUserPolicy", UserName="ann", PolicyArn=arn)
    second = allow("s3:ListAllMyBuckets")
    made = await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=second)
    assert made["PolicyVersion"]["VersionId"] == "v2"
    assert (await ann("GET", "/")).status == 403
    await iam("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v2")
    assert (await ann("GET", "/")).status == 200
    await iam(
        "CreatePolicyVersion", PolicyArn=arn, SetAsDefault=True,
        PolicyDocument=allow("*", effect="Deny"),
    )  # fmt: skip
    assert (await ann("GET", "/")).status == 403
    shown = (await iam("GetPolicyVersion", PolicyArn=arn, VersionId="v2"))["PolicyVersion"]
    assert document(shown["Document"]) == document(second)
    assert shown["IsDefaultVersion"] is False


async def test_five_versions_at_most_and_no_number_twice(store: Store, iam: Iam) -> None:
    arn = await make_policy(store, "p", allow("s3:*"))
    for _ in range(4):
        await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=allow("s3:Get*"))
    sixth = {"PolicyArn": arn, "PolicyDocument": allow("s3:Put*")}
    assert await refusal(iam("CreatePolicyVersion", **sixth)) == (409, "LimitExceeded")
    await iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v5")
    assert (await iam("CreatePolicyVersion", **sixth))["PolicyVersion"]["VersionId"] == "v6"
    page = await iam("ListPolicyVersions", PolicyArn=arn, MaxItems=2)
    rest = await iam("ListPolicyVersions", PolicyArn=arn, Marker=page["Marker"])
    ids = [each["VersionId"] for each in page["Versions"] + rest["Versions"]]
    assert ids == ["v1", "v2", "v3", "v4", "v6"]


async def test_default_version_goes_with_the_policy_only(store: Store, iam: Iam) -> None:
    arn = await make_policy(store, "p", allow("s3:*"))
    await iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=allow("s3:Get*"))
    conflict = (409, "DeleteConflict")
    assert await refusal(iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v1")) == conflict
    assert await refusal(iam("DeletePolicy", PolicyArn=arn)) == conflict
    await iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v2")
    await iam("DeletePolicy", PolicyArn=arn)


@pytest.mark.parametrize(
    "operation", ["GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"]
)
@pytest.mark.parametrize("version", ["v2", "v99999999999999999999"])
async def test_version_that_is_not_there(
    store: Store, iam: Iam, operation: str, version: str
) -> None:
    arn = await make_policy(store, "p", allow("s3:*"))
    assert await refusal(iam(operation, PolicyArn=arn, VersionId=version)) == NOT_FOUND


async def test_version_is_checked_like_a_policy(store: Store, iam: Iam) -> None:
    arn = await make_policy(store, "p", allow("s3:*"))
    call = iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument="{}")
    assert await refusal(call) == (400, "MalformedPolicyDocument")
