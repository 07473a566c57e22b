"""Groups: made, listed, renamed, deleted; users put in and taken out; what that permits."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.iam import ACCOUNT, Iam, IamError, allow, make_user, refusal
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


async def test_group_is_shown_with_its_users_in_pages(iam: Iam) -> None:
    made = (await iam("CreateGroup", GroupName="Staff", Path="/x/"))["Group"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/x/Staff"
    assert made["GroupId"].startswith("AGPA")
    for name in ("carl", "ann", "bob"):
        await iam("CreateUser", UserName=name)
        await iam("AddUserToGroup", GroupName="staff", UserName=name)
        await iam("AddUserToGroup", GroupName="Staff", UserName=name)  # again: no error
    page = await iam("GetGroup", GroupName="Staff", MaxItems=2)
    rest = await iam("GetGroup", GroupName="Staff", Marker=page["Marker"])
    assert page["Group"] == made
    names = [user["UserName"] for user in page["Users"] + rest["Users"]]
    assert (names, rest["IsTruncated"]) == (["ann", "bob", "carl"], False)
    listed = await iam("ListGroupsForUser", UserName="ann")
    assert [group["GroupName"] for group in listed["Groups"]] == ["Staff"]
    assert (await iam("ListGroups", PathPrefix="/y/"))["Groups"] == []


async def test_renamed_group_keeps_users_and_policies(store: Store, iam: Iam) -> None:
    ann = await make_user(store, "ann")
    await iam("CreateGroup", GroupName="a")
    await iam("AddUserToGroup", GroupName="a", UserName="ann")
    text = allow("s3:ListAllMyBuckets")
    await iam("PutGroupPolicy", GroupName="a", PolicyName="p", PolicyDocument=text)
    await iam("UpdateGroup", GroupName="a", NewGroupName="b", NewPath="/n/")
    assert (await ann("GET", "/")).status == 200
    assert await refusal(iam("GetGroup", GroupName="a")) == NOT_FOUND


async def test_users_of_a_group_may_what_its_policies_allow(store: Store, iam: Iam) -> None:
    ann = await make_user(store, "ann")
    await iam("CreateGroup", GroupName="g")
    text = allow("s3:ListAllMyBuckets")
    await iam("PutGroupPolicy", GroupName="g", PolicyName="p", PolicyDocument=text)
    for operation, expected in (("AddUserToGroup", 200), ("RemoveUserFromGroup", 403)):
        await iam(operation, GroupName="g", UserName="ann")
        assert (await ann("GET", "/")).status == expected


async def test_who_was_bound_by_a_group_stays_bound_outside_of_it(store: Store, iam: Iam) -> None:
    """A user of `s3server user create` is free; leaving a group must not make them so again."""
    users = store.services.users
    await users.create_user("free")
    key, secret = await users.create_key("free")
    client = store.holder(key.id, secret)
    await iam("CreateGroup", GroupName="g")
    await iam("AddUserToGroup", GroupName="g", UserName="free")
    assert (await client("PUT", "/made-while-free")).status == 200
    await iam("PutGroupPolicy", GroupName="g", PolicyName="p", PolicyDocument=allow("s3:Get*"))
    assert (await client("PUT", "/more")).status == 403
    await iam("DeleteGroupPolicy", GroupName="g", PolicyName="p")
    assert (await client("PUT", "/more")).status == 403
    await iam("RemoveUserFromGroup", GroupName="g", UserName="free")
    assert (await client("PUT", "/more")).status == 403


async def test_group_is_deleted_once_it_is_empty(iam: Iam) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
    await iam("CreateUser", UserName="ann")
    await iam("CreateGroup", GroupName="g")
    await iam("AddUserToGroup", GroupName="g", UserName="ann")
    await iam("PutGroupPolicy", GroupName="g", PolicyName="p", PolicyDocument=allow("s3:*"))
    await iam("AttachGroupPolicy", GroupName="g", PolicyArn=arn)
    for operation, more in (
        ("RemoveUserFromGroup", {"UserName": "ann"}),
        ("DeleteGroupPolicy", {"PolicyName": "p"}),
        ("DetachGroupPolicy", {"PolicyArn": arn}),
    ):
        assert await refusal(iam("DeleteGroup", GroupName="g")) == (409, "DeleteConflict")
        await iam(operation, GroupName="g", **more)
    await iam("DeleteGroup", GroupName="g")
    assert await refusal(iam("DeleteGroup", GroupName="g")) == NOT_FOUND


async def test_group_that_is_being_deleted_takes_no_user(iam: Iam) -> None:
    await iam("CreateUser", UserName="ann")
    for _ in range(20):
        await iam("CreateGroup", GroupName="g")
        both = [
            iam("AddUserToGroup", GroupName="g", UserName="ann"),
            iam("DeleteGroup", GroupName="g"),
        ]
        added, deleted = await asyncio.gather(*both, return_exceptions=True)
        groups = (await iam("ListGroupsForUser", UserName="ann"))["Groups"]
        assert isinstance(added, IamError) != isinstance(deleted, IamError)
        assert len(groups) == (not isinstance(added, IamError))
        if groups:
            await iam("RemoveUserFromGroup", GroupName="g", UserName="ann")
            await iam("DeleteGroup", GroupName="g")


async def test_user_is_in_ten_groups_at_most(iam: Iam) -> None:
    await iam("CreateUser", UserName="ann")
    for number in range(11):
        await iam("CreateGroup", GroupName=f"g{number}")
        if number < 10:
            await iam("AddUserToGroup", GroupName=f"g{number}", UserName="ann")
    more = iam("AddUserToGroup", GroupName="g10", UserName="ann")
    assert await refusal(more) == (409, "LimitExceeded")


@pytest.mark.parametrize("operation", ["AddUserToGroup", "RemoveUserFromGroup"])
async def test_both_have_to_be_there(iam: Iam, operation: str) -> None:
    await iam("CreateUser", UserName="ann")
    await iam("CreateGroup", GroupName="g")
    assert await refusal(iam(operation, GroupName="no", UserName="ann")) == NOT_FOUND
    assert await refusal(iam(operation, GroupName="g", UserName="no")) == NOT_FOUND
