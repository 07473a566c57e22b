"""A shard that was never written is skipped by whoever meets the blob, and is no damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from s3server.core import records
from s3server.core.records import BlobRecord, RepairRecord, decode, encode, repair_key
from s3server.data.base import UnavailableError
from s3server.jobs.compact import Compact
from s3server.jobs.sweep import Sweep
from s3server.meta.base import Put
from s3server.meta.memory import MemoryStore
from s3server.model import ABSENT, DataRef, ShardPlace
from tests.support.blobs import BytesSource, collect, files_of, make_osds, make_pool, pattern
from tests.support.core_store import TestStore

HOUR_MS = 3_600_000


def lacking(ref: DataRef, *indexes: int) -> DataRef:
    """Return a blob's place as if these shards of it had not been written."""
    shards = [ShardPlace(ABSENT) if at in indexes else place for at, place in enumerate(ref.shards)]
    return replace(ref, shards=tuple(shards))


@pytest.mark.parametrize(("codec", "size"), [("replica:3", 5000), ("replica:3", 200_000),
                                             ("ec:2+1", 5000), ("ec:2+1", 200_000)])  # fmt: skip
async def test_blob_is_read_around_absent_shards(tmp_path: Path, codec: str, size: int) -> None:
    damage: list[tuple[int, str]] = []
    pool = make_pool(
        make_osds(tmp_path, 3),
        codec,
        on_damage=lambda ref, index, reason: damage.append((index, reason)),
    )
    whole = await pool.write(BytesSource(pattern(size)))
    for index in range(len(whole.shards)):
        ref = lacking(whole, index)
        assert (index,) == ref.absent
        assert pattern(size) == await pool.read(ref, 0, size)
        assert pattern(size) == await collect(pool, ref)
        health = await pool.check(ref)
        assert "missing" == health.shards[index]
        assert health.is_readable
        assert 1 == sum(state != "ok" for state in health.shards)
    with pytest.raises(UnavailableError):
        await pool.read(lacking(whole, *range(len(whole.shards))), 0, size)
    assert [] == damage
    await pool.close()


async def test_deleting_a_blob_that_lacks_shards_frees_the_others(tmp_path: Path) -> None:
    pool = make_pool(make_osds(tmp_path, 3), "replica:3")
    ref = lacking(await pool.write(BytesSource(pattern(200_000))), 0)
    await pool.delete(ref)
    assert 1 == len(files_of(tmp_path))
    await pool.close()


@pytest.mark.parametrize(
    ("codec", "shards", "expected"),
    [("replica:3", (1,), 1), ("replica:3", (0, 2), 0), ("ec:8+3", (9, 4), 1), ("ec:4+2", (5,), 1)],
)
async def test_adopting_a_blob_that_lacks_shards_asks_for_their_repair(
    codec: str, shards: tuple[int, ...], expected: int
) -> None:
    site = TestStore(MemoryStore(), {})
    places = tuple(ShardPlace(index) for index in range(12))
    ref = lacking(DataRef("main", codec, b"b" * 16, 9, 1 << 20, places), *shards)
    _, repair = site.blobs.adopt(ref)
    assert repair.key == repair_key(expected, ref.blob)  # type: ignore[union-attr]
    record = decode(RepairRecord, repair.value)  # type: ignore[union-attr]
    assert (ref.blob, tuple(sorted(shards))) == (record.blob, record.shards)
    assert ("degraded write", site.clock.now) == (record.reason, record.since_ms)


def test_most_endangered_blobs_come_first() -> None:
    assert repair_key(-1, b"z") == repair_key(0, b"z") < repair_key(1, b"a") < repair_key(9, b"a")


async def test_sweep_and_compaction_take_absent_shards_for_what_they_are(tmp_path: Path) -> None:
    """Files of a shard that the row calls absent go; what the row refers to moves and stays."""
    osds = make_osds(tmp_path, 3)
    pools = {"main": make_pool(osds, "replica:3")}
    store = TestStore(MemoryStore(), pools)
    bucket = await store.bucket()
    bodies = {str(size): pattern(size) for size in (5000, 60_000, 200_000)}
    for key, body in bodies.items():
        await store.put(bucket, key, body)
    for key, row in await store.rows(records.BLOB):
        record = decode(BlobRecord, row)
        assert record.ref is not None
        changed = encode(replace(record, ref=lacking(record.ref, 1)))
        await store.meta.commit([Put(key, changed)])
    await store.objects.delete(bucket, "60000")  # what is left of the volumes is to be moved
    await store.collect_all()
    await pools["main"].close()
    pools["main"] = make_pool(osds, "replica:3", seed=2)
    store.clock.now = 4_000_000_000_000
    await run_to_end(Sweep(store.meta, osds, clock=store.clock))
    compact = Compact(store.meta, pools, osds, clock=store.clock)
    for _ in range(3):
        await run_to_end(compact)
        store.clock.now += 7 * HOUR_MS
    names = files_of(tmp_path)
    assert ["0", "2"] == [name[-1] for name in names if "shards" in name]
    assert 3 == sum("volumes" in name for name in names)  # the new ones
    for key in ("5000", "200000"):
        assert bodies[key] == await store.body(bucket, key)
    await pools["main"].close()


async def run_to_end(job: Sweep | Compact) -> None:
    while (await job.step()).has_more:
        pass
