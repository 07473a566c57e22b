"""Roles: made with whom they trust, shown, listed, changed, tagged and deleted."""

from __future__ import annotations

import pytest

from tests.support.iam import ACCOUNT, Iam, allow, document, make_policy, policy, refusal, trust
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


async def test_role_is_shown_as_it_was_made(store: Store, iam: Iam) -> None:
    boundary = await make_policy(store, "p", allow("s3:*"))
    made = await iam(
        "CreateRole", RoleName="Job", Path="/grid/", AssumeRolePolicyDocument=trust(),
        Description="of jobs", MaxSessionDuration=7_200, PermissionsBoundary=boundary,
        Tags=[{"Key": "a", "Value": "b"}],
    )  # fmt: skip
    role = made["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/grid/Job"
    assert role["RoleId"].startswith("AROA")
    assert document(role["AssumeRolePolicyDocument"]) == document(trust())
    assert (role["MaxSessionDuration"], role["Description"]) == (7_200, "of jobs")
    assert (await iam("GetRole", RoleName="job"))["Role"] == role
    again = iam("CreateRole", RoleName="JOB", AssumeRolePolicyDocument=trust())
    assert await refusal(again) == (409, "EntityAlreadyExists")


async def test_roles_are_listed_in_pages(iam: Iam) -> None:
    for name in ("c", "a", "B"):
        await iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=trust())
    page = await iam("ListRoles", MaxItems=2)
    rest = await iam("ListRoles", Marker=page["Marker"])
    assert [role["RoleName"] for role in page["Roles"] + rest["Roles"]] == ["a", "B", "c"]


async def test_what_of_a_role_can_be_changed(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    await iam("UpdateRole", RoleName="r", Description="new", MaxSessionDuration=43_200)
    await iam("CreateUser", UserName="ann")
    other = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"})
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=other)
    role = (await iam("GetRole", RoleName="r"))["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("new", 43_200)
    assert document(role["AssumeRolePolicyDocument"]) == document(other)
    changed = await iam("UpdateRoleDescription", RoleName="r", Description="newer")
    assert changed["Role"]["Description"] == "newer"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        allow("sts:AssumeRole"),
        policy({"Effect": "Allow", "Action": "sts:AssumeRole"}),
        policy({"Effect": "Allow", "Action": "s3:*", "Principal": "*"}),
        policy({"Effect": "Allow", "Action": "*", "Principal": "*"}),
        trust({"AWS": "arn:aws:iam::red:group/g"}),
        trust({"Robot": "r2"}),
    ],
)
async def test_trust_policy_is_read_strictly(iam: Iam, text: str) -> None:
    malformed = (400, "MalformedPolicyDocument")
    assert (
        await refusal(iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=text)) == malformed
    )
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    assert (
        await refusal(iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=text)) == malformed
    )


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"MaxSessionDuration": 3_599}, (400, "ValidationError")),
        ({"MaxSessionDuration": 43_201}, (400, "ValidationError")),
        ({"RoleName": "a" * 65}, (400, "ValidationError")),
        ({"AssumeRolePolicyDocument": trust({"AWS": ["1" * 64] * 40})}, (409, "LimitExceeded")),
        ({"PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/no"}, NOT_FOUND),
    ],
)
async def test_what_a_role_cannot_be(
    iam: Iam, more: dict[str, object], error: tuple[int, str]
) -> None:
    role = {"RoleName": "r", "AssumeRolePolicyDocument": trust(), **more}
    assert await refusal(iam("CreateRole", **role)) == error


async def test_role_is_deleted_once_it_has_no_policies(iam: Iam) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    await iam("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=allow("s3:*"))
    await iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    assert await refusal(iam("DeleteRole", RoleName="r")) == (409, "DeleteConflict")
    await iam("DeleteRolePolicy", RoleName="r", PolicyName="p")
    assert await refusal(iam("DeleteRole", RoleName="r")) == (409, "DeleteConflict")
    await iam("DetachRolePolicy", RoleName="r", PolicyArn=arn)
    await iam("DeleteRole", RoleName="r")
    for operation in ("GetRole", "DeleteRole", "UpdateRole", "ListRoleTags"):
        assert await refusal(iam(operation, RoleName="r")) == NOT_FOUND


async def test_tags(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    await iam("TagRole", RoleName="r", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    await iam("UntagRole", RoleName="r", TagKeys=["A"])
    assert (await iam("ListRoleTags", RoleName="r"))["Tags"] == [{"Key": "b", "Value": ""}]
