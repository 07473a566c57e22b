"""Buckets: names, ownership, and deletion that never loses what came in meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from s3server.core import records
from s3server.core.buckets import check_name
from s3server.core.multipart import format_upload_id
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    InvalidBucketName,
    NoSuchBucket,
)
from s3server.model import Principal
from tests.support.core_store import ATTRIBUTES, OWNER, TestStore

OTHER = Principal("user", "2" * 64, "other", DEFAULT_ACCOUNT)


@pytest.mark.parametrize("name", ["abc", "a.b-c", "0" * 63, "1.2.3", "a--b", "1.2.3.256"])
def test_legal_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "1.2.3.4", "xn--ab",
     "sthree-a", "amzn-s3-demo-a", "a-s3alias", "a--ol-s3", "a.mrap", "a--x-s3", "a--table-s3",
     "äbc", "abc\n", "a/b", "٣٣٣"],
)  # fmt: skip
def test_illegal_names(name: str) -> None:
    with pytest.raises(InvalidBucketName):
        check_name(name)


async def test_name_belongs_to_one_owner(store: TestStore) -> None:
    await store.bucket("taken")
    with pytest.raises(BucketAlreadyOwnedByYou):
        await store.bucket("taken")
    with pytest.raises(BucketAlreadyExists):
        await store.buckets.create("taken", OTHER)


async def test_one_of_many_creators_wins(store: TestStore) -> None:
    outcomes = await asyncio.gather(
        *(store.bucket("wanted") for _ in range(32)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, BucketAlreadyOwnedByYou)]
    assert 31 == len(refused)


async def test_new_bucket_of_an_old_name_is_another_one(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "key", b"data")
    await store.objects.delete(bucket, "key")
    await store.buckets.delete(bucket)
    with pytest.raises(NoSuchBucket):
        await store.buckets.get("bucket")
    assert [] == await store.rows(records.COUNTER) + await store.rows(records.BUCKET_OF)
    again = await store.bucket()
    assert bucket.id != again.id
    assert (0, 0) == await store.counters(again)
    with pytest.raises(NoSuchBucket):
        await store.buckets.delete(bucket)


async def test_bucket_with_content_stays(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "key", b"")
    with pytest.raises(BucketNotEmpty):
        await store.buckets.delete(bucket)
    await store.objects.delete(bucket, "key")
    upload = await store.multipart.create(bucket, "key", ATTRIBUTES)
    with pytest.raises(BucketNotEmpty):
        await store.buckets.delete(bucket)
    await store.multipart.abort(bucket, "key", format_upload_id(upload.id))
    await store.buckets.delete(bucket)
    assert await store.buckets.find("bucket") is None


@pytest.mark.parametrize("head_start", range(6))
async def test_delete_races_with_put(store: TestStore, head_start: int) -> None:
    bucket = await store.bucket()

    async def delete() -> bool:
        for _ in range(head_start):
            await asyncio.sleep(0)
        try:
            await store.buckets.delete(bucket)
        except BucketNotEmpty:
            return False
        return True

    async def put(key: str) -> bool:
        try:
            await store.put(bucket, key, b"data")
        except NoSuchBucket:
            return False
        return True

    deleted, *stored = await asyncio.gather(delete(), *(put(f"k{n}") for n in range(8)))
    assert ([False] * 8 if deleted else [True] * 8) == stored
    await store.collect_all()
    await store.verify()
    assert [] == ([] if not deleted else await store.rows(records.COUNTER))


async def test_lists_by_owner_and_of_everybody(store: TestStore) -> None:
    for name in ("alpha", "beta-1", "beta-2", "gamma"):
        await store.bucket(name)
    await store.buckets.create("beta-0", OTHER)

    async def listed(owner: str | None, **options: object) -> list[str]:
        found = await store.buckets.list_owned(owner, **{"limit": 10, **options})  # type: ignore[arg-type]
        return [bucket.name for bucket in found]

    assert ["alpha", "beta-1", "beta-2", "gamma"] == await listed(OWNER.id)
    assert ["alpha", "beta-0", "beta-1", "beta-2", "gamma"] == await listed(None)
    assert ["beta-1"] == await listed(OWNER.id, prefix="beta", limit=1)
    assert ["beta-2"] == await listed(OWNER.id, prefix="beta", after="beta-1")
    assert ["beta-0", "beta-1"] == await listed(None, after="alpha", limit=2)
    assert [[], []] == [await listed(OWNER.id, prefix="beta", after="zz"), await listed("nobody")]


async def test_what_another_worker_does_to_a_bucket_is_seen_at_once(store: TestStore) -> None:
    """Nothing is remembered by a bucket's name; "existing buckets that do not exist" came of it."""
    other = TestStore(store.meta, store.pools, store.clock, process=2)
    assert await other.buckets.find("bucket") is None
    made = await store.bucket()
    assert made == await other.buckets.get("bucket")
    await other.version(made, "Enabled")
    assert "Enabled" == (await store.buckets.get("bucket")).versioning
    await other.buckets.delete(made)
    with pytest.raises(NoSuchBucket):
        await store.buckets.get("bucket")
    again = await store.bucket()
    assert again.id != made.id
    assert again == await other.buckets.get("bucket")


async def test_buckets_are_listed_whole_however_many_there_are(store: TestStore) -> None:
    names = [f"bucket-{number:04}" for number in range(1_100)]
    for name in reversed(names):
        await store.buckets.create(name, OWNER if name < "bucket-0550" else OTHER)
    assert names == [bucket.name for bucket in await store.buckets.list_all()]
    found, after = list[str](), ""
    while page := await store.buckets.list_owned(OTHER.id, after=after, limit=100):
        found += [bucket.name for bucket in page]
        after = found[-1]
    assert names[550:] == found
