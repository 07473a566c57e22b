"""Why shards lie where they lie, and how they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from placement.choose import Chooser, erasure, replicated
from s3server.cluster.changes import Change
from s3server.cluster.explain import ExplainedBlob, explain
from s3server.core.blobs import Blobs
from s3server.core.clock import Ids
from s3server.core.records import BlobRecord
from s3server.model import ABSENT, ShardPlace
from tests.support.blobs import BytesSource
from tests.support.cluster_maps import MappedStore
from tests.support.clusters import racks

OSDS = [{"id": number, "rack": f"r{number // 2}", "host": f"n{number // 2}"} for number in range(8)]


async def explained(
    store: MappedStore, codec: str, *changes: Change, damage: bool = False, absent: bool = False
) -> ExplainedBlob:
    """Write a large blob, then change the map, and explain where it is."""
    pool = {"name": "default", "codec": codec, "across": "rack", "pg_count": 64}
    await store.seed(*OSDS, pools=(pool,))
    watch = await store.watch()
    cluster = watch.cluster
    ref = await cluster.pools["default"].write(BytesSource(bytes(200_000)))
    if changes:
        await store.maps.change(*changes)
        await watch.refresh()
    first = cluster.osds[ref.shards[0].osd]
    if damage:
        file = Path(first.shard_path(ref.blob, 0))
        data = file.read_bytes()
        file.write_bytes(data[:10] + b"?" + data[11:])
    if absent:
        ref = replace(ref, shards=(ShardPlace(ABSENT), *ref.shards[1:]))
    blobs = Blobs(store.meta, cluster.pools, clock=store.clock, ids=Ids(store.clock))
    paths = {osd.id: osd.path for osd in (await store.maps.osds()).values()}
    record = BlobRecord(size=ref.size, ref=ref)
    (found,) = [each async for each in explain(record, blobs, cluster, paths)]
    await watch.close()
    return found


@pytest.fixture
def store(tmp_path: Path) -> MappedStore:
    return MappedStore(tmp_path)


@pytest.mark.parametrize("codec", ["replica:3", "ec:2+1"])
async def test_shards_are_where_they_were_drawn(
    store: MappedStore, codec: str, tmp_path: Path
) -> None:
    found = await explained(store, codec)

    assert (f"{codec}, across rack", 1, 200_000) == (found.rule, found.epoch, found.size)
    assert 0 <= found.group < 64
    for shard in found.shards:
        rack = f"r{shard.osd // 2}"
        assert (shard.osd, rack, "ok") == (shard.today, shard.rack, shard.state)
        assert str(tmp_path / f"osd.{shard.osd}") == shard.path
        assert f"gave {rack}, in it osd.{shard.osd}" in shard.why
    assert 3 == len({shard.rack for shard in found.shards})


async def test_damage_is_found_by_reading(store: MappedStore) -> None:
    found = await explained(store, "replica:3", damage=True)
    assert ["corrupt", "ok", "ok"] == [shard.state for shard in found.shards]


async def test_shard_of_another_map_says_where_it_belongs(store: MappedStore) -> None:
    racks_out = [Change("out", osd) for osd in range(2)]
    found = await explained(store, "ec:2+1", *racks_out)
    elsewhere = [shard for shard in found.shards if shard.osd != shard.today]

    assert 2 == found.epoch
    assert {0, 1}.isdisjoint(shard.today for shard in found.shards)
    for shard in elsewhere:
        assert f"today's map gives osd.{shard.today}" in shard.why


async def test_shard_that_was_not_written_is_to_be_repaired(store: MappedStore) -> None:
    found = await explained(store, "replica:3", absent=True)
    assert ("", "not written, as its OSD failed: to be repaired") == (
        found.shards[0].host,
        found.shards[0].why,
    )


@pytest.mark.parametrize("rule", [replicated(3, "rack"), erasure(3, "rack")])
def test_draws_of_a_trace_lead_to_what_is_chosen(rule) -> None:
    chooser = Chooser(racks(4, 2, 2).changed(3, reweight=0), rule)
    for x in range(200):
        draws = chooser.trace(x)
        taken = {draw.position: draw.device for draw in draws if draw.device is not None}
        assert chooser.choose(x) == tuple(taken[position] for position in sorted(taken))
    assert any(draw.device is None for x in range(200) for draw in chooser.trace(x))
