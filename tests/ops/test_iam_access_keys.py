"""CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey, GetAccessKeyLastUsed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.iam import Iam, allow, key_id, make_user, refusal
from tests.support.served import Store

LISTS = allow("s3:ListAllMyBuckets")
NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


async def test_user_has_as_many_keys_as_wanted(store: Store, iam: Iam) -> None:
    await make_user(store, "ann", LISTS)
    made = [(await iam("CreateAccessKey", UserName="ann"))["AccessKey"] for _ in range(4)]
    listed = (await iam("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"]
    assert {key["AccessKeyId"] for key in made} < {key["AccessKeyId"] for key in listed}
    assert len(listed) == 5
    assert all("SecretAccessKey" not in key for key in listed)
    for key in made:
        client = store.holder(key["AccessKeyId"], key["SecretAccessKey"])
        assert (await client("GET", "/")).status == 200
    page = await iam("ListAccessKeys", UserName="ann", MaxItems=3)
    rest = await iam("ListAccessKeys", UserName="ann", Marker=page["Marker"])
    assert page["AccessKeyMetadata"] + rest["AccessKeyMetadata"] == listed


async def test_key_counts_only_while_it_is_active(store: Store, iam: Iam) -> None:
    client = await make_user(store, "ann", LISTS)
    key = {"UserName": "ann", "AccessKeyId": key_id(client)}
    for status, expected in (("Inactive", 403), ("Active", 200)):
        await iam("UpdateAccessKey", **key, Status=status)
        assert (await client("GET", "/")).status == expected
        (listed,) = (await iam("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"]
        assert listed["Status"] == status
    await iam("DeleteAccessKey", **key)
    assert (await client("GET", "/")).outcome == (403, "InvalidAccessKeyId")
    for operation, more in (("DeleteAccessKey", {}), ("UpdateAccessKey", {"Status": "Active"})):
        assert await refusal(iam(operation, **key, **more)) == NOT_FOUND


async def test_keys_of_others_are_not_reached_through_a_user(store: Store, iam: Iam) -> None:
    """Permission is asked for on the user who is named, so the key must be theirs."""
    ann = await make_user(store, "ann")
    bob = await make_user(store, "bob", LISTS)
    wrong = {"UserName": "ann", "AccessKeyId": key_id(bob)}
    assert await refusal(iam("DeleteAccessKey", **wrong)) == NOT_FOUND
    assert await refusal(iam("UpdateAccessKey", **wrong, Status="Inactive")) == (
        404,
        "NoSuchEntity",
    )
    assert (await bob("GET", "/")).status == 200
    assert ann.key != bob.key


async def test_without_a_user_it_is_about_the_caller(store: Store, iam: Iam) -> None:
    ann = Iam(await make_user(store, "ann", allow("iam:*AccessKey*")))
    key = (await ann("CreateAccessKey"))["AccessKey"]
    assert key["UserName"] == "ann"
    await ann("UpdateAccessKey", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert len((await ann("ListAccessKeys"))["AccessKeyMetadata"]) == 2
    await ann("DeleteAccessKey", AccessKeyId=key["AccessKeyId"])
    assert await refusal(iam("CreateAccessKey")) == (400, "ValidationError")


async def test_last_use_is_told_once_it_was_written(store: Store, iam: Iam) -> None:
    client = await make_user(store, "ann", LISTS)
    key = key_id(client)
    unused = await iam("GetAccessKeyLastUsed", AccessKeyId=key)
    assert (unused["UserName"], unused["AccessKeyLastUsed"]["ServiceName"]) == ("ann", "N/A")
    assert "LastUsedDate" not in unused["AccessKeyLastUsed"]
    before = store.meta.commits
    await client("GET", "/")
    assert store.meta.commits == before  # nothing is written while somebody waits
    await store.services.iam.last_used.flush()
    used = (await iam("GetAccessKeyLastUsed", AccessKeyId=key))["AccessKeyLastUsed"]
    assert used["LastUsedDate"] == datetime.fromtimestamp(store.clock.ms // 1000, UTC)
    assert (used["ServiceName"], used["Region"]) == ("s3", store.region)


async def test_last_use_is_written_every_five_minutes_at_most(store: Store, iam: Iam) -> None:
    client, last_used = await make_user(store, "ann", LISTS), store.services.iam.last_used
    written = []
    for _ in range(6):
        await client("GET", "/")
        before = store.meta.commits
        await last_used.flush()
        written.append(store.meta.commits - before)
        store.clock.ms += 100_000
    assert written == [1, 0, 0, 1, 0, 0]


async def test_last_use_is_told_after_a_clock_was_set_back(store: Store, iam: Iam) -> None:
    client, last_used = await make_user(store, "ann", LISTS), store.services.iam.last_used
    for passed_ms in (86_400_000, -86_400_000 + 600_000):
        store.clock.ms += passed_ms
        await client("GET", "/")
        await last_used.flush()
    used = (await iam("GetAccessKeyLastUsed", AccessKeyId=key_id(client)))["AccessKeyLastUsed"]
    assert used["LastUsedDate"] == datetime.fromtimestamp(store.clock.ms // 1000, UTC)


async def test_last_use_of_a_deleted_key_leaves_nothing(store: Store, iam: Iam) -> None:
    client = await make_user(store, "ann", LISTS)
    await client("GET", "/")
    await iam("DeleteAccessKey", UserName="ann", AccessKeyId=key_id(client))
    before = await store.rows()
    await store.services.iam.last_used.flush()
    assert await store.rows() == before
    assert await refusal(iam("GetAccessKeyLastUsed", AccessKeyId=key_id(client))) == (
        404,
        "NoSuchEntity",
    )
