"""Attach, Detach and ListAttached for users, groups and roles; boundaries."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.iam import Iam, IamError, allow, make_policy, make_user, refusal, trust
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")
READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


@pytest.fixture(params=["User", "Group", "Role"])
async def noun(request: pytest.FixtureRequest, iam: Iam) -> str:
    """A kind of identity, of which there is one named "x"."""
    more = {"AssumeRolePolicyDocument": trust()} if request.param == "Role" else {}
    await iam(f"Create{request.param}", **{f"{request.param}Name": "x"}, **more)
    return str(request.param)


async def test_attached_policies_are_listed_on_both_sides(
    store: Store, iam: Iam, noun: str
) -> None:
    arn, who = await make_policy(store, "P", allow("s3:*"), Path="/t/"), {f"{noun}Name": "x"}
    for each in (arn, READ_ONLY, arn):
        await iam(f"Attach{noun}Policy", **who, PolicyArn=each)
    listed = await iam(f"ListAttached{noun}Policies", **who)
    assert listed["AttachedPolicies"] == [
        {"PolicyName": "AmazonS3ReadOnlyAccess", "PolicyArn": READ_ONLY},
        {"PolicyName": "P", "PolicyArn": arn},
    ] or listed["AttachedPolicies"] == [
        {"PolicyName": "P", "PolicyArn": arn},
        {"PolicyName": "AmazonS3ReadOnlyAccess", "PolicyArn": READ_ONLY},
    ]
    in_path = await iam(f"ListAttached{noun}Policies", **who, PathPrefix="/t/")
    assert [each["PolicyArn"] for each in in_path["AttachedPolicies"]] == [arn]
    for each in (arn, READ_ONLY):
        entities = await iam("ListEntitiesForPolicy", PolicyArn=each)
        assert [one[f"{noun}Name"] for one in entities[f"Policy{noun}s"]] == ["x"]
        await iam(f"Detach{noun}Policy", **who, PolicyArn=each)
        assert await refusal(iam(f"Detach{noun}Policy", **who, PolicyArn=each)) == NOT_FOUND
    assert (await iam("ListEntitiesForPolicy", PolicyArn=arn))[f"Policy{noun}s"] == []


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        ("arn:aws:iam::000000000000:policy/none", NOT_FOUND),
        ("arn:aws:iam::111111111111:policy/p", NOT_FOUND),
        ("arn:aws:iam::000000000000:policy/wrong/p", NOT_FOUND),
        ("arn:aws:iam::aws:policy/NoSuchPolicy", NOT_FOUND),
        ("arn:aws:s3:::a-bucket-and-no-policy", (400, "InvalidInput")),
        (f"arn:aws:iam::000000000000:policy/{'p' * 1_900}", (400, "InvalidInput")),
    ],
)
async def test_policy_has_to_be_there(
    store: Store, iam: Iam, noun: str, arn: str, error: tuple[int, str]
) -> None:
    await make_policy(store, "p", allow("s3:*"))
    assert await refusal(iam(f"Attach{noun}Policy", **{f"{noun}Name": "x"}, PolicyArn=arn)) == error


async def test_twenty_policies_at_most(store: Store, iam: Iam) -> None:
    await iam("CreateUser", UserName="x")
    for number in range(21):
        arn = await make_policy(store, f"p{number}", allow("s3:*"))
        call = iam("AttachUserPolicy", UserName="x", PolicyArn=arn)
        if number < 20:
            await call
        else:
            assert await refusal(call) == (409, "LimitExceeded")


async def test_policy_that_is_being_deleted_is_not_attached(store: Store, iam: Iam) -> None:
    await iam("CreateUser", UserName="x")
    for _ in range(20):
        arn = await make_policy(store, "p", allow("s3:*"))
        attached, deleted = await asyncio.gather(
            iam("AttachUserPolicy", UserName="x", PolicyArn=arn),
            iam("DeletePolicy", PolicyArn=arn),
            return_exceptions=True,
        )
        assert isinstance(attached, IamError) != isinstance(deleted, IamError)
        listed = (await iam("ListAttachedUserPolicies", UserName="x"))["AttachedPolicies"]
        assert len(listed) == (not isinstance(attached, IamError))
        if listed:
            await iam("DetachUserPolicy", UserName="x", PolicyArn=arn)
            await iam("DeletePolicy", PolicyArn=arn)


async def test_explicit_deny_of_any_policy_wins(store: Store, iam: Iam) -> None:
    ann = await make_user(store, "ann", allow("s3:*"))
    assert (await ann("PUT", "/data")).status == 200
    arn = await make_policy(store, "no", allow("s3:PutObject", effect="Deny"))
    await iam("CreateGroup", GroupName="g")
    await iam("AttachGroupPolicy", GroupName="g", PolicyArn=arn)
    await iam("AddUserToGroup", GroupName="g", UserName="ann")
    assert (await ann("PUT", "/data/key")).status == 403
    assert (await ann("GET", "/data")).status == 200


@pytest.mark.parametrize("noun", ["User", "Role"], indirect=True)
async def test_boundary_is_shown_replaced_and_taken_away(store: Store, iam: Iam, noun: str) -> None:
    who = {f"{noun}Name": "x"}
    arn = await make_policy(store, "p", allow("s3:*"))
    for each in (READ_ONLY, arn):
        await iam(f"Put{noun}PermissionsBoundary", **who, PermissionsBoundary=each)
        shown = (await iam(f"Get{noun}", **who))[noun]["PermissionsBoundary"]
        assert shown["PermissionsBoundaryArn"] == each
    policy = (await iam("GetPolicy", PolicyArn=arn))["Policy"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"]) == (0, 1)
    assert await refusal(iam("DeletePolicy", PolicyArn=arn)) == (409, "DeleteConflict")
    await iam(f"Delete{noun}PermissionsBoundary", **who)
    assert "PermissionsBoundary" not in (await iam(f"Get{noun}", **who))[noun]
    assert await refusal(iam(f"Delete{noun}PermissionsBoundary", **who)) == NOT_FOUND
    missing = iam(f"Put{noun}PermissionsBoundary", **who, PermissionsBoundary=arn + "x")
    assert await refusal(missing) == NOT_FOUND
    await iam("DeletePolicy", PolicyArn=arn)


async def test_boundary_limits_what_policies_allow(store: Store, iam: Iam) -> None:
    ann = await make_user(store, "ann", allow("s3:*"), PermissionsBoundary=READ_ONLY)
    assert (await ann("GET", "/")).status == 200
    assert (await ann("PUT", "/data")).status == 403
    await iam("DeleteUserPolicy", UserName="ann", PolicyName="own")
    assert (await ann("GET", "/")).status == 403  # a boundary allows nothing by itself
