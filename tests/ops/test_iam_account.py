"""GetAccountSummary, GetAccountAuthorizationDetails, ListAccountAliases."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.iam import Iam, allow, document, make_policy, make_user, trust
from tests.support.served import Store


@pytest.fixture
async def iam(store: Store) -> Iam:
    root = Iam(store.root)
    await make_user(store, "ann", allow("s3:*"))
    await root("CreateUser", UserName="bob")
    await root("CreateGroup", GroupName="g")
    await root("AddUserToGroup", GroupName="g", UserName="ann")
    await root("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    arn = await make_policy(store, "p", allow("s3:Get*"))
    await root("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=allow("s3:Put*"))
    await root("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    return root


async def test_summary_counts_what_there_is(iam: Iam) -> None:
    summary = (await iam("GetAccountSummary"))["SummaryMap"]
    counts = {name: summary[name] for name in ("Users", "Groups", "Roles", "Policies")}
    assert counts == {"Users": 2, "Groups": 1, "Roles": 1, "Policies": 1}
    assert (summary["PolicyVersionsInUse"], summary["VersionsPerPolicyQuota"]) == (2, 5)


async def test_there_are_no_aliases(iam: Iam) -> None:
    assert (await iam("ListAccountAliases"))["AccountAliases"] == []


async def test_details_tell_who_has_what(iam: Iam) -> None:
    found = await iam(
        "GetAccountAuthorizationDetails", Filter=["User", "Role", "LocalManagedPolicy"]
    )
    ann, bob = found["UserDetailList"]
    assert (ann["UserName"], ann["GroupList"], bob["GroupList"]) == ("ann", ["g"], [])
    (inline,) = ann["UserPolicyList"]
    assert document(inline["PolicyDocument"]) == document(allow("s3:*"))
    (role,) = found["RoleDetailList"]
    assert [each["PolicyName"] for each in role["AttachedManagedPolicies"]] == ["p"]
    (policy,) = found["Policies"]
    assert [each["VersionId"] for each in policy["PolicyVersionList"]] == ["v1", "v2"]
    assert found["GroupDetailList"] == []


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_of_details_are_together_all_of_them(iam: Iam, size: int) -> None:
    whole, parts = await iam("GetAccountAuthorizationDetails"), [{}, {}]
    more: dict[str, Any] = {}
    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    joined: dict[str, list[Any]] = {name: [] for name in lists}
    while True:
        page = await iam("GetAccountAuthorizationDetails", MaxItems=size, **more)
        assert sum(len(page[name]) for name in lists) <= size
        for name in lists:
            joined[name] += page[name]
        if not page["IsTruncated"]:
            break
        more = {"Marker": page["Marker"]}
    assert joined == {name: whole[name] for name in lists}
    assert parts
