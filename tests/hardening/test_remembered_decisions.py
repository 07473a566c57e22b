"""What policies said is remembered, and never said again once anything has changed it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from tests.support.asgi_client import Client
from tests.support.iam import Iam, allow, make_policy, make_user
from tests.support.served import Store

READ = allow("s3:GetObject")
DENY = allow("s3:*", effect="Deny")
BLOCK = (
    b"<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets>"
    b"<IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"
)


@pytest.fixture
async def ann(store: Store) -> Client:
    """Ann may read by a managed policy and by one of her group, under a boundary."""
    await store.root.made("/data")
    await store.root.made("/data/key", body=b"content")
    ann, iam = await make_user(store, "ann"), Iam(store.root)
    await iam("CreateGroup", GroupName="readers")
    await iam("AddUserToGroup", GroupName="readers", UserName="ann")
    for name in ("own", "limit", "shared"):
        await make_policy(store, name, READ)
    await iam("AttachUserPolicy", UserName="ann", PolicyArn=arn("own"))
    await iam("AttachGroupPolicy", GroupName="readers", PolicyArn=arn("shared"))
    await iam("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=arn("limit"))
    for _ in range(3):  # the last by what was cleared in advance
        assert (await ann("GET", "/data/key")).status == 200
    return ann


def arn(name: str) -> str:
    return f"arn:aws:iam::000000000000:policy/{name}"


def new_version(name: str) -> Callable[[Store], Awaitable[object]]:
    async def change(store: Store) -> object:
        return await Iam(store.root)(
            "CreatePolicyVersion", PolicyArn=arn(name), PolicyDocument=DENY, SetAsDefault=True
        )

    return change


async def inline_of_user(store: Store) -> object:
    return await Iam(store.root)(
        "PutUserPolicy", UserName="ann", PolicyName="no", PolicyDocument=DENY
    )


async def inline_of_group(store: Store) -> object:
    return await Iam(store.root)(
        "PutGroupPolicy", GroupName="readers", PolicyName="no", PolicyDocument=DENY
    )


async def policy_of_bucket(store: Store) -> object:
    statement = json.loads(DENY)["Statement"]
    statement = statement[0] if isinstance(statement, list) else statement
    denied = {
        "Version": "2012-10-17",
        "Statement": {**statement, "Principal": "*", "Resource": "arn:aws:s3:::data/*"},
    }
    return await store.root.sent("/data?policy", json.dumps(denied).encode())


async def end_of_project(store: Store) -> object:
    return await store.services.projects.update(
        "default", lambda now: replace(now, is_disabled=True)
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(new_version("own"), id="own"),
        pytest.param(new_version("shared"), id="shared"),
        pytest.param(new_version("limit"), id="limit"),
        inline_of_user,
        inline_of_group,
        policy_of_bucket,
        end_of_project,
    ],
)
async def test_change_counts_from_the_next_request_on(
    store: Store, ann: Client, change: Callable[[Store], Awaitable[object]]
) -> None:
    await change(store)
    for _ in range(2):
        assert (await ann("GET", "/data/key")).status == 403


async def test_what_was_taken_back_and_given_again_counts_each_time(
    store: Store, ann: Client
) -> None:
    iam = Iam(store.root)
    await iam("RemoveUserFromGroup", GroupName="readers", UserName="ann")
    for _ in range(3):
        await iam("DetachUserPolicy", UserName="ann", PolicyArn=arn("own"))
        assert (await ann("GET", "/data/key")).status == 403
        await iam("AttachUserPolicy", UserName="ann", PolicyArn=arn("own"))
        assert (await ann("GET", "/data/key")).status == 200


@pytest.mark.parametrize(
    ("condition", "matters"),
    [
        ({"StringEquals": {"s3:ExistingObjectTag/level": "open"}}, "tags"),
        ({"DateLessThan": {"aws:CurrentTime": "2026-09-21T13:50:00Z"}}, "time"),
        ({"StringLike": {"aws:UserAgent": "first*"}}, "header"),
        ({"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}, "address"),
    ],
)
async def test_what_a_condition_asks_for_is_asked_each_time(
    store: Store, condition: dict[str, dict[str, str]], matters: str
) -> None:
    await store.root.made("/data")
    tagged = {"x-amz-tagging": "level=open"}
    await store.root.made("/data/key", body=b"content", headers=tagged)
    ann = await make_user(store, "ann", allow("s3:GetObject", Condition=condition))
    moment = store.clock.ms
    if matters == "time":
        store.clock.ms = 1_789_990_000_000  # 13:26:40 of that day, 2026-09-21
    first = {"user-agent": "first"} if matters == "header" else {}
    near = ann.changed(peer="10.1.2.3") if matters == "address" else ann
    for _ in range(3):
        assert (await near("GET", "/data/key", headers=first)).status == 200
    if matters == "tags":
        await store.root.made("/data/key", body=b"content")
    store.clock.ms = moment + 86_400_000 if matters == "time" else store.clock.ms
    far = ann.changed(peer="10.2.2.3") if matters == "address" else ann
    assert (await far("GET", "/data/key")).status == 403
