"""ListBuckets."""

from __future__ import annotations

import pytest

from tests.support.served import Store


async def test_buckets_are_listed_in_the_order_of_their_names(store: Store) -> None:
    for name in ("bucket-b", "bucket-a", "bucket-c"):
        await store.alice.made(f"/{name}")
    answer = await store.alice("GET", "/")
    assert answer.status == 200
    assert answer.texts("Buckets/Bucket/Name") == ["bucket-a", "bucket-b", "bucket-c"]
    assert answer.texts("Buckets/Bucket/CreationDate") == ["2026-09-21T14:13:20.000Z"] * 3
    assert answer.text("Owner/DisplayName") == "alice"
    assert answer.text("ContinuationToken") is None


async def test_user_sees_own_buckets_and_root_sees_all(store: Store) -> None:
    await store.alice.made("/of-alice")
    await store.bob.made("/of-bob")
    assert (await store.alice("GET", "/")).texts("Buckets/Bucket/Name") == ["of-alice"]
    assert (await store.root("GET", "/")).texts("Buckets/Bucket/Name") == ["of-alice", "of-bob"]


async def test_nobody_may_not_list_buckets(store: Store) -> None:
    with store.untouched():
        answer = await store.nobody("GET", "/")
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize("who", ["alice", "root"])
async def test_pages_go_on_where_the_page_before_ended(store: Store, who: str) -> None:
    names = [f"bucket-{number}" for number in range(7)]
    for name in names:
        await store.alice.made(f"/{name}")
    found: list[str] = []
    token = ""
    for _ in range(4):
        answer = await store.client(who)("GET", f"/?max-buckets=2&continuation-token={token}")
        found += answer.texts("Buckets/Bucket/Name")
        token = answer.text("ContinuationToken") or ""
    assert found == names
    assert token == ""


async def test_prefix_selects_and_is_told(store: Store) -> None:
    for name in ("aa-1", "ab-1", "ab-2", "ac-1"):
        await store.alice.made(f"/{name}")
    answer = await store.alice("GET", "/?prefix=ab")
    assert answer.texts("Buckets/Bucket/Name") == ["ab-1", "ab-2"]
    assert answer.text("Prefix") == "ab"


@pytest.mark.parametrize("count", ["0", "10001", "-1", "many"])
async def test_page_size_out_of_range_is_refused(store: Store, count: str) -> None:
    answer = await store.alice("GET", f"/?max-buckets={count}")
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "max-buckets"


async def test_deleted_bucket_is_not_listed(store: Store) -> None:
    await store.alice.made("/gone")
    await store.alice.made("/gone", method="DELETE")
    assert (await store.alice("GET", "/")).texts("Buckets/Bucket/Name") == []


async def test_other_regions_have_no_buckets(store: Store) -> None:
    await store.alice.made("/data")
    here = await store.alice("GET", "/?bucket-region=us-east-1")
    assert here.texts("Buckets/Bucket/Name") == ["data"]
    elsewhere = await store.alice("GET", "/?bucket-region=eu-west-1")
    assert (elsewhere.status, elsewhere.texts("Buckets/Bucket/Name")) == (200, [])
