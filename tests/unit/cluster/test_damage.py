"""Damage that a reader meets becomes one repair row, and none where the blob has moved on."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3server.cluster.damage import FORGET_MS, WAITING, Damage
from s3server.core import records
from s3server.core.records import BlobRecord, RepairRecord, blob_key, decode, encode
from s3server.meta.base import Delete, Put
from s3server.meta.memory import MemoryStore
from s3server.model import DataRef, ShardPlace
from tests.support.blobs import make_osds, make_pool, pattern
from tests.support.core_store import TestStore


@pytest.mark.parametrize("size", [5000, 200_000])
async def test_damage_met_while_reading_is_asked_to_be_repaired_once(
    tmp_path: Path, size: int
) -> None:
    meta, osds = MemoryStore(), make_osds(tmp_path, 3)
    store = TestStore(meta, {})
    damage = Damage(meta, clock=store.clock)
    pool = make_pool(osds, "replica:3", on_damage=damage.report)
    store.pools = {"main": pool}
    store.__post_init__()
    bucket = await store.bucket()
    await store.put(bucket, "key", pattern(size))
    for path in (tmp_path / "osd0").rglob("*"):
        if path.is_file() and path.name != "osd.json":
            path.write_bytes(path.read_bytes().replace(pattern(size)[-500:], bytes(500)))
    for _ in range(3):
        assert pattern(size) == await store.body(bucket, "key")
        await damage.flush()
    rows = await store.rows(records.REPAIR)
    assert [((0,), "corrupt")] == [
        (found.shards, found.reason) for found in (decode(RepairRecord, row) for _, row in rows)
    ]
    await meta.commit([Delete(rows[0][0])])
    store.clock.now += FORGET_MS
    await store.body(bucket, "key")
    await damage.flush()
    assert 1 == len(await store.rows(records.REPAIR))
    await pool.close()


async def test_what_moved_or_went_is_not_asked_for_and_the_queue_is_bounded() -> None:
    store = TestStore(MemoryStore(), {})
    damage = Damage(store.meta, clock=store.clock)
    for number in range(2 * WAITING):
        blob = number.to_bytes(16, "big")
        damage.report(DataRef("main", "replica:3", blob, 9, 0, (ShardPlace(0),) * 3), 1, "missing")
    assert WAITING == len(damage._waiting)
    await damage.flush()
    assert [] == await store.rows(records.REPAIR)


async def test_damaged_row_keeps_no_other_blob_from_being_repaired() -> None:
    store = TestStore(MemoryStore(), {})
    damage = Damage(store.meta, clock=store.clock)
    refs = [
        DataRef("main", "replica:3", bytes((number,)) * 16, 9, 0, (ShardPlace(0),) * 3)
        for number in range(3)
    ]
    rows = [encode(BlobRecord(size=9, ref=ref)) for ref in refs]
    rows[0] = b"damaged"
    for ref, row in zip(refs, rows, strict=True):
        await store.meta.commit([Put(blob_key(ref.blob), row)])
        damage.report(ref, 1, "missing")
    await damage.flush()
    found = [decode(RepairRecord, row).blob for _, row in await store.rows(records.REPAIR)]
    assert [ref.blob for ref in refs[1:]] == found
