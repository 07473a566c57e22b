"""The sweep of multipart uploads that nobody went on with."""

from __future__ import annotations

from s3server.core import records
from s3server.core.lifecycle_rules import DAY_MS
from s3server.data.memory import MemoryPool
from s3server.jobs.stale_uploads import StaleUploads
from s3server.meta.memory import MemoryStore
from tests.support.blobs import numbered_ids
from tests.support.core_store import ATTRIBUTES, Bytes, TestStore


async def sweep(store: TestStore) -> int:
    job = StaleUploads(
        store.meta, store.buckets, store.multipart, clock=store.clock, age_ms=7 * DAY_MS
    )
    aborted = 0
    while True:
        step = await job.step()
        aborted += step.uploads
        if not step.has_more:
            await store.verify()
            return aborted


async def test_upload_goes_when_nothing_came_for_a_week() -> None:
    store = TestStore(MemoryStore(), {"main": MemoryPool("main", numbered_ids())})
    buckets = [await store.bucket(name) for name in ("first", "second")]
    for number in range(300):  # more than a step takes
        await store.multipart.create(buckets[number % 2], f"k{number}", ATTRIBUTES)
    slow = await store.multipart.create(buckets[0], "slow", ATTRIBUTES)
    store.clock.now += 7 * DAY_MS - 1
    assert await sweep(store) == 0
    await store.multipart.put_part(buckets[0], "slow", slow.id.hex(), 1, Bytes(b"part"))
    store.clock.now += 1
    assert await sweep(store) == 300
    assert len(await store.rows(records.UPLOAD)) == 1
    store.clock.now += 7 * DAY_MS
    assert await sweep(store) == 1
    assert await store.rows(records.PART) == []
    await store.collect_all()
    assert await store.rows(records.BLOB) == []
