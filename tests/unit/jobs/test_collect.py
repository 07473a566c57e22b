"""The garbage collector: grace, bounds, conflicts, composites, and OSDs that refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from s3server.core import records
from s3server.core.copying import CopySource
from s3server.core.holds import HELD_FOR_MS
from s3server.core.multipart import ChosenPart, format_upload_id
from s3server.core.objects import UNCONDITIONAL, NewVersion
from s3server.core.records import BlobPart, BlobRecord, GarbageRecord, decode, encode
from s3server.core.upkeep_records import hold_key
from s3server.data.base import UnavailableError
from s3server.data.memory import MemoryPool
from s3server.jobs import collect as module
from s3server.jobs.collect import TAKE_BACK_MS, Collect, Collected
from s3server.jobs.set_aside import SetAside, described, forget, set_aside
from s3server.meta.base import Append, Check, ConflictError, Put, Write
from s3server.meta.memory import MemoryStore
from s3server.model import DataRef
from tests.support.blobs import numbered_ids
from tests.support.core_store import ATTRIBUTES, GRACE_MS, Bytes, TestStore, no_digest


class CountingStore(MemoryStore):
    """Counts commits, and can be told to refuse those that touch a key."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.contested: bytes | None = None

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        self.commits += 1
        for check in checks:
            if self.contested and getattr(check, "key", None) == self.contested:
                raise ConflictError(check)
        return await super().commit(writes, checks)


class RefusingPool(MemoryPool):
    """Deletes nothing."""

    async def delete(self, ref: DataRef) -> None:
        raise UnavailableError("an OSD refuses")


@pytest.fixture
def meta() -> CountingStore:
    return CountingStore()


@pytest.fixture
def pool() -> MemoryPool:
    return MemoryPool("main", numbered_ids())


@pytest.fixture
def store(meta: CountingStore, pool: MemoryPool) -> TestStore:
    return TestStore(meta, {"main": pool})


async def test_garbage_waits_for_its_grace(store: TestStore, pool: MemoryPool) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"data")
    await store.objects.delete(bucket, "a")
    store.clock.now += GRACE_MS - 1
    assert Collected() == await store.collect.step()
    assert 1 == pool.blob_count
    store.clock.now += 1
    assert Collected(blobs=1, bytes=4, has_more=True) == await store.collect.step()
    assert Collected() == await store.collect.step()
    assert 0 == pool.blob_count


async def test_one_commit_works_off_many_rows(
    store: TestStore, meta: CountingStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    await asyncio.gather(*(store.put(bucket, f"k{n}", b"x") for n in range(200)))
    await asyncio.gather(*(store.objects.delete(bucket, f"k{n}") for n in range(200)))
    store.clock.now += GRACE_MS
    meta.commits = 0
    assert Collected(blobs=200, bytes=200, has_more=True) == await store.collect.step()
    assert (1, 0) == (meta.commits, pool.blob_count)


async def test_young_garbage_behind_old_stays(store: TestStore, pool: MemoryPool) -> None:
    bucket = await store.bucket()
    for key in "ab":
        await store.put(bucket, key, b"x")
    await store.objects.delete(bucket, "a")
    store.clock.now += GRACE_MS
    await store.objects.delete(bucket, "b")
    assert Collected(blobs=1, bytes=1, has_more=True) == await store.collect.step()
    assert (Collected(), 1) == (await store.collect.step(), pool.blob_count)


async def test_clock_that_is_set_back_does_not_stop_collection(
    store: TestStore, pool: MemoryPool
) -> None:
    """Rows lie in commit order: one from a year ahead would stand in the way of all others."""
    bucket = await store.bucket()
    await store.put(bucket, "a", b"x")
    store.clock.now += 365 * 86_400_000
    await store.objects.delete(bucket, "a")
    store.clock.now -= 365 * 86_400_000
    assert Collected(blobs=1, bytes=1, has_more=True) == await store.collect.step()
    assert 0 == pool.blob_count


async def test_garbage_of_a_clock_a_little_ahead_waits(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"x")
    await store.objects.delete(bucket, "a")
    store.clock.now -= GRACE_MS - 1
    assert Collected() == await store.collect.step()


async def test_step_is_bounded_and_the_rest_follows(
    store: TestStore, meta: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row with more blobs than a step may release; one of them is composite."""
    monkeypatch.setattr(module, "BLOBS_PER_STEP", 3)
    blobs = [b"%016d" % n for n in range(8)]
    parts = tuple(BlobPart(blob, 1, n + 1) for n, blob in enumerate(blobs[:4]))
    composite = b"c" * 16
    rows = [Put(records.blob_key(blob), encode(BlobRecord(size=1))) for blob in blobs]
    rows.append(Put(records.blob_key(composite), encode(BlobRecord(size=4, parts=parts))))
    garbage = GarbageRecord(blobs=(composite, *blobs[4:]), since_ms=store.clock.now)
    await meta.commit([*rows, Append(records.GARBAGE, encode(garbage))])
    store.clock.now += GRACE_MS
    steps = []
    while (done := await store.collect.step()).has_more:
        steps.append(done.blobs)
        await store.verify()
    assert [3, 3, 3] == steps
    assert [] == await store.rows(records.BLOB) + await store.rows(records.GARBAGE)


async def test_blob_twice_in_one_row(store: TestStore, meta: CountingStore) -> None:
    blob = b"b" * 16
    garbage = GarbageRecord(blobs=(blob, blob), since_ms=0)
    await meta.commit(
        [
            Put(records.blob_key(blob), encode(BlobRecord(size=1, uses=2))),
            Append(records.GARBAGE, encode(garbage)),
        ]
    )
    await store.verify()
    await store.collect_all()
    assert [] == await store.rows(records.BLOB)


async def test_blob_in_several_rows_of_one_step(store: TestStore, pool: MemoryPool) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"data")
    for key in "bcd":
        await store.copying.copy(
            CopySource(bucket, "a"), (bucket, key), lambda record: ATTRIBUTES, UNCONDITIONAL
        )
    for key in "abc":
        await store.objects.delete(bucket, key)
    await store.collect_all()
    await store.verify()
    assert (1, b"data") == (pool.blob_count, await store.body(bucket, "d"))


async def test_row_in_conflict_does_not_hold_up_the_others(
    store: TestStore, meta: CountingStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    for key in "abc":
        await store.put(bucket, key, b"x")
    for key in "abc":
        await store.objects.delete(bucket, key)
    blob_keys = [key for key, _ in await store.rows(records.BLOB)]
    meta.contested = blob_keys[1]
    store.clock.now += GRACE_MS
    assert Collected(blobs=2, bytes=2, has_more=True) == await store.collect.step()
    assert blob_keys[1:2] == [key for key, _ in await store.rows(records.BLOB)]
    assert 1 == pool.blob_count
    meta.contested = None
    await store.collect_all()
    assert (0, []) == (pool.blob_count, await store.rows(records.GARBAGE))


async def test_conflict_never_frees_bytes(
    store: TestStore, meta: CountingStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"x")
    await store.objects.delete(bucket, "a")
    meta.contested = (await store.rows(records.BLOB))[0][0]
    store.clock.now += GRACE_MS
    assert Collected(has_more=True) == await store.collect.step()
    assert 1 == pool.blob_count


async def test_osd_that_refuses_does_not_hold_up_the_others(meta: CountingStore) -> None:
    pools = {
        "main": RefusingPool("main", numbered_ids(1)),
        "other": MemoryPool("other", numbered_ids(2)),
    }
    store = TestStore(meta, pools)
    for name, pool in (("first", "main"), ("second", "other")):
        bucket = await store.bucket(name, pool=pool)
        await store.put(bucket, "key", b"x")
        await store.objects.delete(bucket, "key")
    await store.collect_all()
    assert (1, 0) == (pools["main"].blob_count, pools["other"].blob_count)
    assert [] == await store.rows(records.BLOB) + await store.rows(records.GARBAGE)


async def test_pool_that_is_no_longer_configured_is_left_alone(
    store: TestStore, meta: CountingStore
) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"x")
    await store.objects.delete(bucket, "a")
    store.clock.now += GRACE_MS
    collect = Collect(meta, {}, clock=store.clock, grace_ms=GRACE_MS)
    assert (await collect.step()).has_more
    assert [] == await store.rows(records.GARBAGE)


async def test_shared_bytes_stay_while_one_uses_them(store: TestStore) -> None:
    bucket = await store.bucket()
    record = await store.put(bucket, "a", b"data")
    await store.copying.copy(
        CopySource(bucket, "a"), (bucket, "b"), lambda _: ATTRIBUTES, UNCONDITIONAL
    )
    await store.objects.delete(bucket, "a")
    await store.collect_all()
    row = await store.meta.get(records.blob_key(record.blob))
    assert row is not None
    assert 1 == decode(BlobRecord, row).uses


async def test_collector_beside_a_second_one(store: TestStore, pool: MemoryPool) -> None:
    bucket = await store.bucket()
    for n in range(40):
        await store.objects.put(bucket, f"k{n % 5}", Bytes(b"x" * (n + 1)), ATTRIBUTES)
    store.clock.now += GRACE_MS
    await asyncio.gather(*(store.collect.step() for _ in range(4)))
    await store.collect_all()
    await store.verify()
    assert 5 == pool.blob_count


async def test_object_without_bytes_makes_no_garbage(store: TestStore) -> None:
    bucket = await store.bucket()
    version = NewVersion(size=0, etag="e", attributes=ATTRIBUTES)
    await store.objects.commit_bytes(bucket, "a", None, version)
    await store.objects.delete(bucket, "a")
    assert [] == await store.rows(records.GARBAGE)


async def aside(store: TestStore) -> list[SetAside]:
    return await set_aside(store.meta)


async def test_damaged_row_is_set_aside_and_does_not_stop_collection(
    store: TestStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    for key in "ab":
        await store.put(bucket, key, b"x")
        await store.objects.delete(bucket, key)
    key, row = (await store.rows(records.GARBAGE))[0]
    await store.meta.commit([Put(key, row[:-1] + b"?")])
    await store.collect_all()
    assert [] == await store.rows(records.GARBAGE)
    assert pool.blob_count == 1
    aside = await store.meta.get(records.store_key("set-aside/") + key)
    assert aside == row[:-1] + b"?"


async def test_damaged_blob_row_keeps_its_bytes_and_does_not_stop_collection(
    store: TestStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    for key in "abc":
        await store.put(bucket, key, b"x")
    (key, row), *_ = await store.rows(records.BLOB)
    blob, *others = [each[len(records.BLOB) :] for each, _ in await store.rows(records.BLOB)]
    damaged = row[:-1] + bytes((row[-1] ^ 1,))
    together = GarbageRecord(blobs=(blob, *others), since_ms=0)
    await store.meta.commit([Put(key, damaged), Append(records.GARBAGE, encode(together))])
    await store.collect_all()
    assert [] == await store.rows(records.GARBAGE)
    assert [(key, damaged)] == await store.rows(records.BLOB)
    assert pool.blob_count == 1
    ((_, aside),) = await store.rows(records.store_key("set-aside/"))
    assert (blob,) == decode(GarbageRecord, aside).blobs


async def test_what_was_set_aside_is_collected_once_the_row_is_whole_again(
    store: TestStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"x")
    ((key, row),) = await store.rows(records.BLOB)
    await store.meta.commit([Put(key, row[:-1] + bytes((row[-1] ^ 1,)))])
    await store.objects.delete(bucket, "a")
    await store.collect_all()
    assert [(key[1:],)] == [each.garbage and each.garbage.blobs for each in await aside(store)]
    store.clock.now += TAKE_BACK_MS
    await store.collect_all()
    assert 1 == len(await aside(store)), "it is damaged still"
    await store.meta.commit([Put(key, row)])
    store.clock.now += TAKE_BACK_MS
    await store.collect_all()
    assert [] == await aside(store)
    assert pool.blob_count == 0
    await store.verify()


async def test_what_was_set_aside_can_be_forgotten(store: TestStore, pool: MemoryPool) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"x")
    await store.objects.delete(bucket, "a")
    ((key, row),) = await store.rows(records.GARBAGE)
    await store.meta.commit([Put(key, row[:-1] + b"?")])
    await store.collect_all()
    (found,) = await aside(store)
    assert {"row": key.hex(), "blobs": [], "reason": "it cannot be read"} == described(found)
    await forget(store.meta, [found])
    assert [] == await aside(store)


async def test_damaged_hold_row_holds_every_composite_blob_until_it_would_have_run_out(
    store: TestStore, pool: MemoryPool
) -> None:
    bucket = await store.bucket()
    upload = await store.multipart.create(bucket, "key", ATTRIBUTES)
    part = await store.multipart.put_part(
        bucket, "key", format_upload_id(upload.id), 1, Bytes(b"x")
    )
    await store.multipart.complete(
        bucket,
        "key",
        format_upload_id(upload.id),
        [ChosenPart(1, part.etag)],
        summarise=no_digest,
        condition=UNCONDITIONAL,
    )
    await store.objects.delete(bucket, "key")
    await store.meta.commit([Put(hold_key(b"process"), b"damaged")])
    await store.collect_all()
    assert pool.blob_count == 1
    store.clock.now += HELD_FOR_MS + 1
    await store.collect_all()
    assert pool.blob_count == 0
    assert [] == await store.rows(hold_key(b""))
