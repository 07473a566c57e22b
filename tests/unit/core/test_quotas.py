"""Quotas: what counts, what is refused, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from s3server.core.copying import CopySource
from s3server.core.multipart import MIN_PART_BYTES, ChosenPart, format_upload_id
from s3server.core.objects import UNCONDITIONAL, Attributes
from s3server.core.project_records import (
    QuotaRecord,
    bucket_scope,
    project_scope,
    user_scope,
)
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.core.quotas import NO_QUOTA, Quotas
from s3server.core.records import BucketRecord
from s3server.data.memory import MemoryPool
from s3server.errors import QuotaExceeded
from s3server.model import Principal
from tests.support.core_store import Bytes, TestStore, no_digest

ALICE = Principal("user", "a" * 64, "alice", account=DEFAULT_ACCOUNT)
AS_ALICE, AS_BOB = Attributes(owner=ALICE.id), Attributes(owner="b" * 64)


@pytest.fixture
async def bucket(store: TestStore) -> AsyncIterator[BucketRecord]:
    yield await store.buckets.create("data", ALICE)
    await store.verify()


def scopes(bucket: BucketRecord) -> dict[str, bytes]:
    return {
        "bucket": bucket_scope(bucket.id),
        "project": project_scope(ALICE.account),
        "user": user_scope(ALICE.id),
    }


async def put(
    store: TestStore, bucket: BucketRecord, key: str, size: int, attributes: Attributes = AS_ALICE
) -> None:
    await store.objects.put(bucket, key, Bytes(bytes(size)), attributes)


@pytest.mark.parametrize("kind", ["bucket", "project", "user"])
async def test_bytes_are_accepted_to_the_last_one(
    store: TestStore, bucket: BucketRecord, kind: str
) -> None:
    await Quotas(store.meta).put(scopes(bucket)[kind], QuotaRecord(bytes=100))
    await put(store, bucket, "a", 60)
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "b", 41)
    await put(store, bucket, "b", 40)


@pytest.mark.parametrize("kind", ["bucket", "project", "user"])
async def test_objects_are_counted(store: TestStore, bucket: BucketRecord, kind: str) -> None:
    await Quotas(store.meta).put(scopes(bucket)[kind], QuotaRecord(objects=2))
    await put(store, bucket, "a", 0)
    await put(store, bucket, "b", 0)
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "c", 0)
    await put(store, bucket, "a", 9)
    await store.objects.delete(bucket, "b")
    await put(store, bucket, "c", 0)


@pytest.mark.parametrize("kind", ["bucket", "project", "user"])
async def test_quota_that_another_process_sets_changes_or_lifts_counts_from_the_next_write(
    store: TestStore, bucket: BucketRecord, kind: str
) -> None:
    other, scope = Quotas(store.meta), scopes(bucket)[kind]
    await put(store, bucket, "a", 60)  # what is remembered from here on: that there is no quota
    await other.put(scope, QuotaRecord(bytes=100))
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "b", 41)
    await other.put(scope, QuotaRecord(bytes=101))
    await put(store, bucket, "b", 41)
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "c", 1)
    await other.put(scope, NO_QUOTA)
    await put(store, bucket, "c", 1)


async def test_quota_of_a_user_is_on_what_they_own(store: TestStore, bucket: BucketRecord) -> None:
    await Quotas(store.meta).put(user_scope(ALICE.id), QuotaRecord(bytes=10))
    await put(store, bucket, "of-bob", 100, AS_BOB)
    await put(store, bucket, "of-bob", 10)
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "more", 1)


async def test_body_is_not_read_where_its_size_shows_that_it_does_not_fit(
    store: TestStore, bucket: BucketRecord
) -> None:
    await Quotas(store.meta).put(bucket_scope(bucket.id), QuotaRecord(bytes=100))

    async def read() -> None:
        raise AssertionError("the body was read")

    with pytest.raises(QuotaExceeded):
        await store.objects.put(bucket, "a", Bytes(bytes(101), before_each=read), AS_ALICE)
    upload = await store.multipart.create(bucket, "b", AS_ALICE)
    with pytest.raises(QuotaExceeded):
        await store.multipart.put_part(
            bucket, "b", format_upload_id(upload.id), 1, Bytes(bytes(101), before_each=read)
        )


async def test_older_versions_count_and_deletes_are_never_refused(
    store: TestStore, bucket: BucketRecord
) -> None:
    bucket = await store.version(bucket, "Enabled")
    await Quotas(store.meta).put(bucket_scope(bucket.id), QuotaRecord(bytes=100, objects=2))
    await put(store, bucket, "a", 60)
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "a", 41)
    await put(store, bucket, "a", 40)
    first = (await store.objects.get(bucket, "a")).version_id
    await store.objects.delete(bucket, "a")
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "a", 0)
    await store.objects.delete(bucket, "a", first)
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "b", 0)


async def test_parts_count_and_completing_needs_no_more(
    store: TestStore, bucket: BucketRecord
) -> None:
    quota = QuotaRecord(bytes=2 * MIN_PART_BYTES, objects=1)
    await Quotas(store.meta).put(bucket_scope(bucket.id), quota)
    upload = format_upload_id((await store.multipart.create(bucket, "key", AS_ALICE)).id)
    with pytest.raises(QuotaExceeded):
        await store.multipart.create(bucket, "other", AS_ALICE)
    chosen = []
    for number in (1, 2, 1):
        part = await store.multipart.put_part(
            bucket, "key", upload, number, Bytes(bytes(MIN_PART_BYTES))
        )
        chosen.append(ChosenPart(part.number, part.etag))
    with pytest.raises(QuotaExceeded):
        await store.multipart.put_part(bucket, "key", upload, 3, Bytes(b"x"))
    await store.multipart.complete(
        bucket, "key", upload, chosen[:2], summarise=no_digest, condition=UNCONDITIONAL
    )
    await store.verify()


async def test_quota_below_what_is_there_lets_less_through(
    store: TestStore, bucket: BucketRecord
) -> None:
    await put(store, bucket, "a", 100)
    quotas = Quotas(store.meta)
    await quotas.put(bucket_scope(bucket.id), QuotaRecord(bytes=10))
    with pytest.raises(QuotaExceeded):
        await put(store, bucket, "b", 1)
    await put(store, bucket, "a", 50)
    await quotas.put(bucket_scope(bucket.id), QuotaRecord())
    await put(store, bucket, "b", 1_000)


async def test_64_writers_fill_a_quota_and_exceed_it_by_no_byte(
    store: TestStore, bucket: BucketRecord
) -> None:
    await Quotas(store.meta).put(project_scope(ALICE.account), QuotaRecord(bytes=10 * 1_000 + 999))
    outcomes = await asyncio.gather(
        *(put(store, bucket, f"{number}", 1_000) for number in range(64)), return_exceptions=True
    )
    assert 10 == outcomes.count(None)
    assert {QuotaExceeded} == {type(each) for each in outcomes if each is not None}
    assert (10, 10_000) == await store.counters(bucket)
    pool = store.pools["main"]
    assert isinstance(pool, MemoryPool)
    assert 10 == pool.blob_count


async def test_copies_count(store: TestStore, bucket: BucketRecord) -> None:
    await put(store, bucket, "a", 60)
    await Quotas(store.meta).put(bucket_scope(bucket.id), QuotaRecord(bytes=100))
    elsewhere = await store.buckets.create("other", ALICE, pool="other")
    await Quotas(store.meta).put(bucket_scope(elsewhere.id), QuotaRecord(bytes=50))
    for target in (bucket, elsewhere):
        with pytest.raises(QuotaExceeded):
            await store.copying.copy(
                CopySource(bucket, "a"), (target, "b"), lambda _: AS_ALICE, UNCONDITIONAL
            )


@pytest.mark.parametrize("kind", ["project", "user"])
async def test_buckets_are_counted(store: TestStore, bucket: BucketRecord, kind: str) -> None:
    await Quotas(store.meta).put(scopes(bucket)[kind], QuotaRecord(buckets=2))
    second = await store.buckets.create("second", ALICE)
    with pytest.raises(QuotaExceeded):
        await store.buckets.create("third", ALICE)
    await store.buckets.delete(second)
    await store.buckets.create("third", ALICE)
