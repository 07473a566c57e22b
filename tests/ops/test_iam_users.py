"""CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser, TagUser, UntagUser, ListUserTags."""

from __future__ import annotations

import pytest

from tests.support.iam import ACCOUNT, Iam, allow, make_policy, make_user, refusal
from tests.support.served import Store


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


async def test_user_is_shown_as_it_was_made(iam: Iam) -> None:
    made = await iam(
        "CreateUser", UserName="Ann", Path="/physics/", Tags=[{"Key": "a", "Value": "1"}]
    )
    user = made["User"]
    assert user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/physics/Ann"
    assert (user["UserName"], user["Path"]) == ("Ann", "/physics/")
    assert user["UserId"].startswith("AIDA")
    assert len(user["UserId"]) == 21
    assert (await iam("GetUser", UserName="Ann"))["User"] == user


async def test_names_ignore_case(iam: Iam) -> None:
    await iam("CreateUser", UserName="Ann")
    assert (await iam("GetUser", UserName="ANN"))["User"]["UserName"] == "Ann"
    assert await refusal(iam("CreateUser", UserName="ann")) == (409, "EntityAlreadyExists")


async def test_without_a_name_it_is_the_caller(store: Store, iam: Iam) -> None:
    ann = Iam(await make_user(store, "ann", allow("iam:GetUser")))
    assert (await ann("GetUser"))["User"]["UserName"] == "ann"
    assert (await iam("GetUser"))["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


async def test_new_user_may_do_nothing(store: Store) -> None:
    ann = await make_user(store, "ann")
    assert (await ann("GET", "/")).status == 403
    assert (await ann("PUT", "/bucket")).status == 403
    assert await refusal(Iam(ann)("GetUser")) == (403, "AccessDenied")


async def test_pages_of_users_are_in_the_order_of_names(iam: Iam) -> None:
    for name in ("bob", "Ann", "carl", "dora"):
        await iam("CreateUser", UserName=name, Path="/x/" if name != "dora" else "/y/")
    first = await iam("ListUsers", MaxItems=2)
    assert ([user["UserName"] for user in first["Users"]], first["IsTruncated"]) == (
        ["Ann", "bob"],
        True,
    )
    rest = await iam("ListUsers", MaxItems=2, Marker=first["Marker"])
    assert [user["UserName"] for user in rest["Users"]] == ["carl", "dora"]
    assert rest["IsTruncated"] is False
    in_x = await iam("ListUsers", PathPrefix="/x/")
    assert len(in_x["Users"]) == 3


async def test_renamed_user_keeps_id_keys_and_policies(store: Store, iam: Iam) -> None:
    client = await make_user(store, "ann", allow("s3:ListAllMyBuckets"))
    before = (await iam("GetUser", UserName="ann"))["User"]
    await iam("CreateUser", UserName="bob")
    assert await refusal(iam("UpdateUser", UserName="ann", NewUserName="Bob")) == (
        409,
        "EntityAlreadyExists",
    )
    await iam("UpdateUser", UserName="ann", NewUserName="anna", NewPath="/new/")
    user = (await iam("GetUser", UserName="anna"))["User"]
    assert (user["UserId"], user["Path"]) == (before["UserId"], "/new/")
    assert (await client("GET", "/")).status == 200
    assert await refusal(iam("GetUser", UserName="ann")) == (404, "NoSuchEntity")


async def test_changing_the_case_of_a_name_only(iam: Iam) -> None:
    await iam("CreateUser", UserName="ann")
    await iam("UpdateUser", UserName="ann", NewUserName="ANN")
    assert (await iam("GetUser", UserName="ann"))["User"]["UserName"] == "ANN"


async def test_user_who_still_has_something_is_not_deleted(store: Store, iam: Iam) -> None:
    await make_user(store, "ann", allow("s3:*"))
    arn = await make_policy(store, "p", allow("s3:*"))
    await iam("CreateGroup", GroupName="g")
    await iam("AddUserToGroup", GroupName="g", UserName="ann")
    await iam("AttachUserPolicy", UserName="ann", PolicyArn=arn)
    await iam("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=arn)
    key = (await iam("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"][0]["AccessKeyId"]
    for operation, more in (
        ("DeleteAccessKey", {"AccessKeyId": key}),
        ("DeleteUserPolicy", {"PolicyName": "own"}),
        ("DetachUserPolicy", {"PolicyArn": arn}),
        ("RemoveUserFromGroup", {"GroupName": "g"}),
    ):
        assert await refusal(iam("DeleteUser", UserName="ann")) == (409, "DeleteConflict")
        await iam(operation, UserName="ann", **more)
    await iam("DeleteUser", UserName="ann")
    await iam("DeletePolicy", PolicyArn=arn)  # the boundary went with the user
    assert await refusal(iam("DeleteUser", UserName="ann")) == (404, "NoSuchEntity")


@pytest.mark.parametrize(
    "wrong",
    [
        {"UserName": ""}, {"UserName": "a" * 65}, {"UserName": "a b"}, {"UserName": "ü"},
        {"UserName": "a/b"}, {"Path": "x"}, {"Path": "/x"}, {"Path": "/" + "x" * 512 + "/"},
        {"Tags": [{"Key": "", "Value": ""}]}, {"Tags": [{"Key": "a" * 129, "Value": ""}]},
        {"Tags": [{"Key": "<", "Value": ""}]}, {"Tags": [{"Key": "a", "Value": "v" * 257}]},
        {"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]},
        {"PermissionsBoundary": "short"},
    ],
)  # fmt: skip
async def test_what_the_model_forbids_is_refused(iam: Iam, wrong: dict[str, object]) -> None:
    assert await refusal(iam("CreateUser", **{"UserName": "ann", **wrong})) == (
        400,
        "ValidationError",
    )
    assert (await iam("ListUsers"))["Users"] == []


async def test_tags_are_added_replaced_and_removed(iam: Iam) -> None:
    await iam("CreateUser", UserName="ann", Tags=[{"Key": "Team", "Value": "x"}])
    await iam(
        "TagUser", UserName="ann", Tags=[{"Key": "team", "Value": "ü y"}, {"Key": "b", "Value": ""}]
    )
    tags = (await iam("ListUserTags", UserName="ann"))["Tags"]
    assert tags == [{"Key": "b", "Value": ""}, {"Key": "team", "Value": "ü y"}]
    page = await iam("ListUserTags", UserName="ann", MaxItems=1)
    assert (page["IsTruncated"], page["Tags"]) == (True, tags[:1])
    await iam("UntagUser", UserName="ann", TagKeys=["TEAM", "none"])
    assert (await iam("ListUserTags", UserName="ann"))["Tags"] == tags[:1]


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        (["a", "A"], (400, "InvalidInput")),
        (["aws:a"], (400, "InvalidInput")),
        ([f"n{number}" for number in range(50)], (409, "LimitExceeded")),
    ],
)
async def test_tags_that_iam_does_not_take(
    iam: Iam, tags: list[str], error: tuple[int, str]
) -> None:
    await iam("CreateUser", UserName="ann", Tags=[{"Key": "first", "Value": ""}])
    sent = [{"Key": key, "Value": ""} for key in tags]
    assert await refusal(iam("TagUser", UserName="ann", Tags=sent)) == error
    assert (await iam("ListUserTags", UserName="ann"))["Tags"] == [{"Key": "first", "Value": ""}]
