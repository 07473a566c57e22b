"""Objects: conditions, counters, times, and what is left of writers that lose or fail."""

from __future__ import annotations

import asyncio

import pytest

from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.commit import Plan
from s3server.core.objects import WriteCondition
from s3server.data.base import UnavailableError as PoolUnavailableError
from s3server.data.memory import MemoryPool
from s3server.errors import BadDigest, NoSuchBucket, NoSuchKey, PreconditionFailed, SlowDown
from s3server.meta.base import FullError, Put, UnavailableError, Unchanged
from s3server.meta.memory import MemoryStore
from s3server.model import DataRef, Source
from tests.support.blobs import numbered_ids, pattern
from tests.support.core_store import ATTRIBUTES, Bytes, TestStore

IF_ABSENT = WriteCondition(if_none_match=True)


class FailingStore(MemoryStore):
    """Raises `failure` instead of committing, where one is set."""

    failure: Exception | None = None

    async def commit(self, *arguments: object, **options: object) -> int:
        if self.failure is not None:
            raise self.failure
        return await super().commit(*arguments, **options)  # type: ignore[arg-type]


class CountingPool(MemoryPool):
    """Counts the blobs that it was asked to write."""

    writes = 0

    async def write(self, source: Source) -> DataRef:
        self.writes += 1
        return await super().write(source)


def blob_count(store: TestStore, pool: str = "main") -> int:
    found = store.pools[pool]
    assert isinstance(found, MemoryPool)
    return found.blob_count


async def test_object_is_read_as_it_was_put(store: TestStore) -> None:
    bucket = await store.bucket()
    data = pattern(3_000_000)
    record = await store.put(bucket, "key", data)
    assert (3_000_000, Bytes(data).etag) == (record.size, record.etag)
    assert data == await store.body(bucket, "key")
    assert data == await store.streamed(bucket, "key")
    assert (1, 3_000_000) == await store.counters(bucket)


async def test_empty_object_needs_no_blob(store: TestStore) -> None:
    bucket = await store.bucket()
    record = await store.put(bucket, "key", b"")
    assert (b"", 0) == (record.blob, blob_count(store))
    assert b"" == await store.body(bucket, "key")
    assert (1, 0) == await store.counters(bucket)


async def test_empty_object_whose_digest_is_wrong_is_refused(store: TestStore) -> None:
    bucket = await store.bucket()
    with pytest.raises(BadDigest):
        await store.objects.put(bucket, "key", Bytes(b"", fail_at=0), ATTRIBUTES)
    assert await store.objects.find(bucket, "key") is None


async def test_no_bytes_are_written_where_only_deletes_would_be_committed() -> None:
    """Else retried uploads would take the space that is held back for the deletes."""
    meta, pool = FailingStore(), CountingPool("main", numbered_ids())
    store = TestStore(meta, {"main": pool})
    bucket = await store.bucket()
    meta.is_full = True
    with pytest.raises(FullError):
        await store.put(bucket, "key", b"data")
    assert 0 == pool.writes
    meta.is_full = False
    await store.put(bucket, "key", b"data")
    assert 1 == pool.writes


async def test_pool_that_is_not_in_the_settings_cannot_serve_now(store: TestStore) -> None:
    bucket = await store.bucket()
    record = await store.put(bucket, "key", b"data")
    other = TestStore(store.meta, {})
    blob = await other.objects.blob_of(record)
    for attempt in (
        other.put(bucket, "new", b"data"),
        other.objects.read(blob, 0, 4),
        anext(other.objects.stream(blob, 0, 4)),
    ):
        with pytest.raises(PoolUnavailableError):
            await attempt
    assert record == (await other.objects.delete(bucket, "key")).removed


async def test_refused_body_leaves_nothing(store: TestStore) -> None:
    bucket = await store.bucket()
    before = await store.meta.scan(b"", b"\xff", limit=100)
    with pytest.raises(BadDigest):
        await store.objects.put(bucket, "key", Bytes(b"data", fail_at=4), ATTRIBUTES)
    assert before == await store.meta.scan(b"", b"\xff", limit=100)
    assert 0 == blob_count(store)


async def test_overwritten_bytes_go_after_their_grace_and_not_before(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "key", b"old")
    await store.put(bucket, "key", b"new!")
    assert not (await store.collect.step()).has_more
    assert 2 == blob_count(store)
    await store.collect_all()
    assert 1 == blob_count(store)
    assert b"new!" == await store.body(bucket, "key")
    assert (1, 4) == await store.counters(bucket)
    await store.verify()


async def test_delete_returns_what_was_there_once(store: TestStore) -> None:
    bucket = await store.bucket()
    record = await store.put(bucket, "key", b"data")
    assert record == (await store.objects.delete(bucket, "key")).removed
    assert (await store.objects.delete(bucket, "key")).removed is None
    with pytest.raises(NoSuchKey):
        await store.objects.get(bucket, "key")
    await store.collect_all()
    assert ((0, 0), 0) == (await store.counters(bucket), blob_count(store))
    await store.verify()


async def test_only_one_of_64_conditional_writers_wins(store: TestStore) -> None:
    bucket = await store.bucket()

    async def write(number: int) -> bool:
        try:
            body = Bytes(b"%d" % number)
            await store.objects.put(bucket, "key", body, ATTRIBUTES, IF_ABSENT)
        except PreconditionFailed:
            return False
        return True

    won = await asyncio.gather(*(write(number) for number in range(64)))
    assert 1 == sum(won)
    assert b"%d" % won.index(True) == await store.body(bucket, "key")
    assert 1 == blob_count(store)
    await store.verify()


async def test_concurrent_overwrites_leave_exact_counts(store: TestStore) -> None:
    bucket = await store.bucket()
    bodies = [b"x" * number for number in range(150)]
    await asyncio.gather(*(store.put(bucket, "key", body) for body in bodies))
    await store.verify()
    await store.collect_all()
    await store.verify()
    record = await store.objects.get(bucket, "key")
    assert (1, record.size) == await store.counters(bucket)
    assert 150 == record.sequence


async def test_concurrent_puts_and_deletes_leave_exact_counts(store: TestStore) -> None:
    bucket = await store.bucket()
    changes = [store.put(bucket, f"k{n % 3}", b"x" * n) for n in range(60)]
    deletes = [store.objects.delete(bucket, f"k{n % 3}") for n in range(60)]
    both = [each for pair in zip(changes, deletes, strict=True) for each in pair]
    await asyncio.gather(*both)
    await store.verify()
    await store.collect_all()
    await store.verify()


async def test_if_match(store: TestStore) -> None:
    bucket = await store.bucket()
    with pytest.raises(NoSuchKey):
        await store.objects.put(
            bucket, "key", Bytes(b"1"), ATTRIBUTES, WriteCondition(if_match="*")
        )
    first = await store.put(bucket, "key", b"1")
    condition = WriteCondition(if_match=first.etag)
    await store.objects.put(bucket, "key", Bytes(b"2"), ATTRIBUTES, condition)
    with pytest.raises(PreconditionFailed):
        await store.objects.put(bucket, "key", Bytes(b"3"), ATTRIBUTES, condition)
    assert b"2" == await store.body(bucket, "key")


async def test_refused_condition_costs_no_upload(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "key", b"1")
    body = Bytes(b"2")
    with pytest.raises(PreconditionFailed):
        await store.objects.put(bucket, "key", body, ATTRIBUTES, IF_ABSENT)
    assert not body.is_verified


async def test_modified_never_goes_back_when_the_clock_does(store: TestStore) -> None:
    bucket = await store.bucket()
    first = await store.put(bucket, "key", b"1")
    store.clock.now -= 5_000
    second = await store.put(bucket, "key", b"2")
    assert first.modified_ms + 1 == second.modified_ms
    assert first.sequence + 1 == second.sequence


async def test_put_into_a_bucket_that_went_meanwhile(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.buckets.delete(bucket)
    again = await store.bucket()
    with pytest.raises(NoSuchBucket):
        await store.put(bucket, "key", b"data")
    assert 0 == blob_count(store)
    assert await store.objects.find(again, "key") is None


async def test_put_that_waited_too_long_for_its_commit_is_refused(store: TestStore) -> None:
    """Compaction and sweep may have taken its bytes for rubbish by then."""
    bucket = await store.bucket()
    ref = await store.blobs.write("main", Bytes(b"data"))
    assert ref is not None

    async def held_up() -> Plan[None]:
        store.clock.now += ADOPT_WITHIN_MS + 1
        return Plan(None, [Put(b"Sk", b"v")], [Unchanged(b"Sk", b"another")])

    with pytest.raises(SlowDown):
        await store.blobs.commit_or_discard([ref], held_up)
    assert (0, None) == (blob_count(store), await store.objects.find(bucket, "key"))


@pytest.mark.parametrize(
    ("failure", "blobs_left"), [(FullError("full"), 0), (UnavailableError("unknown"), 1)]
)
async def test_bytes_are_freed_only_where_the_commit_failed_for_certain(
    failure: Exception, blobs_left: int, store: TestStore
) -> None:
    meta = FailingStore()
    failing = TestStore(meta, store.pools)
    bucket = await failing.bucket()
    meta.failure = failure
    with pytest.raises(type(failure)):
        await failing.put(bucket, "key", b"data")
    assert blobs_left == blob_count(failing)
