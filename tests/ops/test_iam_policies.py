"""Managed policies: CreatePolicy, GetPolicy, ListPolicies, DeletePolicy, tags, entities."""

from __future__ import annotations

import pytest

from tests.support.iam import ACCOUNT, Iam, allow, make_policy, refusal
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


async def test_policy_is_shown_as_it_was_made(iam: Iam) -> None:
    made = await iam(
        "CreatePolicy", PolicyName="P", Path="/team/", Description="of the team",
        PolicyDocument=allow("s3:*"), Tags=[{"Key": "a", "Value": "b"}],
    )  # fmt: skip
    policy = made["Policy"]
    assert policy["Arn"] == f"arn:aws:iam::{ACCOUNT}:policy/team/P"
    assert policy["PolicyId"].startswith("ANPA")
    assert (policy["DefaultVersionId"], policy["AttachmentCount"]) == ("v1", 0)
    assert (await iam("GetPolicy", PolicyArn=policy["Arn"]))["Policy"] == policy
    again = iam("CreatePolicy", PolicyName="p", PolicyDocument=allow("s3:*"))
    assert await refusal(again) == (409, "EntityAlreadyExists")


async def test_lists_by_scope_path_and_use(store: Store, iam: Iam) -> None:
    await make_policy(store, "b", allow("s3:*"))
    await make_policy(store, "a", allow("s3:*"), Path="/x/")
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    await iam("CreateUser", UserName="ann")
    await iam("AttachUserPolicy", UserName="ann", PolicyArn=arn)

    async def names(**more: object) -> list[str]:
        return [each["PolicyName"] for each in (await iam("ListPolicies", **more))["Policies"]]

    assert await names(Scope="Local") == ["a", "b"]
    assert await names(Scope="Local", PathPrefix="/x/") == ["a"]
    assert {"AmazonS3ReadOnlyAccess", "AmazonS3FullAccess", "IAMFullAccess"} < set(
        await names(Scope="AWS")
    )
    assert await names(OnlyAttached=True) == ["AdministratorAccess"]
    assert await names(PolicyUsageFilter="PermissionsBoundary") == []
    page = await iam("ListPolicies", MaxItems=3)
    rest = await iam("ListPolicies", Marker=page["Marker"])
    found = [each["PolicyName"] for each in page["Policies"] + rest["Policies"]]
    assert found == await names()


async def test_policies_of_aws_stay_as_they_are(iam: Iam) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
    for call in (
        iam("DeletePolicy", PolicyArn=arn),
        iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=allow("*")),
        iam("TagPolicy", PolicyArn=arn, Tags=[{"Key": "a", "Value": ""}]),
    ):
        assert await refusal(call) == (403, "AccessDenied")


@pytest.mark.parametrize(("size", "error"), [(6_144, None), (6_145, (409, "LimitExceeded"))])
async def test_document_has_a_limit(iam: Iam, size: int, error: tuple[int, str] | None) -> None:
    text = allow("s3:*", Sid="")
    text = text.replace('"Sid": ""', f'"Sid": "{"x" * (size - len(text.replace(" ", "")))}"')
    call = iam("CreatePolicy", PolicyName="p", PolicyDocument=text)
    if error is None:
        await call
    else:
        assert await refusal(call) == error


async def test_deleted_policy_is_gone_with_its_rows(store: Store, iam: Iam) -> None:
    before = await store.rows()
    arn = await make_policy(store, "p", allow("s3:*"))
    await iam("DeletePolicy", PolicyArn=arn)
    assert await store.rows() == before
    for operation in ("GetPolicy", "DeletePolicy", "ListPolicyTags", "ListEntitiesForPolicy"):
        assert await refusal(iam(operation, PolicyArn=arn)) == NOT_FOUND


async def test_tags(store: Store, iam: Iam) -> None:
    arn = await make_policy(store, "p", allow("s3:*"), Tags=[{"Key": "a", "Value": "1"}])
    await iam("TagPolicy", PolicyArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    await iam("UntagPolicy", PolicyArn=arn, TagKeys=["A"])
    assert (await iam("ListPolicyTags", PolicyArn=arn))["Tags"] == [{"Key": "b", "Value": "2"}]


async def test_entities_are_filtered(store: Store, iam: Iam) -> None:
    arn = await make_policy(store, "p", allow("s3:*"))
    for name in ("ann", "bob"):
        await iam("CreateUser", UserName=name)
    await iam("AttachUserPolicy", UserName="ann", PolicyArn=arn)
    await iam("PutUserPermissionsBoundary", UserName="bob", PermissionsBoundary=arn)
    for usage, expected in (
        ({}, ["ann", "bob"]),
        ({"PolicyUsageFilter": "PermissionsPolicy"}, ["ann"]),
        ({"PolicyUsageFilter": "PermissionsBoundary"}, ["bob"]),
        ({"EntityFilter": "Role"}, []),
    ):
        found = await iam("ListEntitiesForPolicy", PolicyArn=arn, **usage)
        assert [each["UserName"] for each in found["PolicyUsers"]] == expected
