"""What failures and changes would do, against what they then do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from placement.cluster_map import ONE, MapError
from s3server.cluster.changes import Change, change, shortages
from s3server.cluster.live import ClusterWatch
from s3server.cluster.osds import OsdKeeper
from s3server.cluster.what_if import Effect, devices_named, what_if
from s3server.core.records import BlobPart, BlobRecord, ObjectRecord, blob_key, encode, object_key
from s3server.meta.base import Put
from s3server.model import DataRef
from tests.support.blobs import BytesSource
from tests.support.cluster_maps import MappedStore

LARGE = 200_000
OSDS = [{"id": number, "rack": f"r{number // 2}", "host": f"n{number // 2}"} for number in range(8)]
POOLS = (
    {"name": "default", "codec": "replica:3", "across": "rack", "pg_count": 64},
    {"name": "wide", "codec": "ec:2+1", "across": "rack", "pg_count": 64},
)


@pytest.fixture
async def store(tmp_path: Path) -> MappedStore:
    """Four racks of two OSDs."""
    found = MappedStore(tmp_path)
    await found.seed(*OSDS, pools=POOLS)
    return found


@pytest.fixture
async def watch(store: MappedStore) -> AsyncIterator[ClusterWatch]:
    watch = await store.watch()
    yield watch
    await watch.close()


async def put(
    store: MappedStore, watch: ClusterWatch, size: int, count: int = 1, pool: str = "default"
) -> list[DataRef]:
    """Write objects with their rows."""
    refs = []
    for _ in range(count):
        ref = await watch.cluster.pools[pool].write(BytesSource(bytes(size)))
        record = ObjectRecord(
            sequence=1, size=size, etag="", modified_ms=0, owner="", blob=ref.blob
        )
        blob = BlobRecord(size=size, ref=ref)
        await store.meta.commit(
            [
                Put(object_key(b"bucketid", ref.blob.hex()), encode(record)),
                Put(blob_key(ref.blob), encode(blob)),
            ]
        )
        refs.append(ref)
    return refs


async def test_names_stand_for_the_osds_below_them(store: MappedStore) -> None:
    record = await store.maps.current()

    assert {3} == devices_named(record, "osd.3")
    assert {2, 3} == devices_named(record, "r1") == devices_named(record, "n1")
    assert set(range(8)) == devices_named(record, "dc1")
    for name in ("osd.9", "r9"):
        with pytest.raises(MapError):
            devices_named(record, name)


async def test_nothing_happens_without_a_change(store: MappedStore, watch: ClusterWatch) -> None:
    await put(store, watch, LARGE, 5)
    await put(store, watch, 100, 5)
    await put(store, watch, LARGE, 5, pool="wide")

    assert Effect(safe=15) == await what_if(store.meta, await store.maps.current())


async def test_damaged_rows_are_counted_and_the_others_told_of(
    store: MappedStore, watch: ClusterWatch
) -> None:
    refs = await put(store, watch, LARGE, 3)
    await store.meta.commit(
        [
            Put(blob_key(refs[0].blob), b"damaged"),
            Put(object_key(b"bucketid", refs[1].blob.hex()), b"damaged"),
        ]
    )
    effect = await what_if(store.meta, await store.maps.current())
    assert Effect(safe=1, unreadable=1, damaged=2) == effect


@pytest.mark.parametrize(("pool", "size"), [("default", LARGE), ("default", 10), ("wide", 10)])
async def test_loss_of_an_osd_degrades_what_is_on_it(
    store: MappedStore, watch: ClusterWatch, pool: str, size: int
) -> None:
    refs = await put(store, watch, size, 60, pool)  # of random ids
    hit = sum(place.osd == 3 for ref in refs for place in ref.shards)
    found = await what_if(store.meta, await store.maps.current(), [3])

    assert 0 < hit < 60
    assert Effect(60 - hit, hit, 0, hit, hit * size) == found


async def test_blob_below_what_it_needs_is_unreadable_and_moves_nothing(
    store: MappedStore, watch: ClusterWatch
) -> None:
    (ref,) = await put(store, watch, LARGE, pool="wide")
    lost = [place.osd for place in ref.shards[:2]]

    assert Effect(unreadable=1) == await what_if(store.meta, await store.maps.current(), lost)


async def test_shards_without_another_rack_are_homeless(
    store: MappedStore, watch: ClusterWatch
) -> None:
    (ref,) = await put(store, watch, LARGE)
    lost = {osd for place in ref.shards[:1] for osd in range(8) if osd // 2 == place.osd // 2}
    other = next(rack for rack in range(4) if rack not in {p.osd // 2 for p in ref.shards})
    lost |= {2 * other, 2 * other + 1}
    record = await store.maps.current()
    found = await what_if(store.meta, record, lost)

    assert (1, 0, 1) == (found.degraded, found.move_shards, found.homeless_shards)
    assert ["pool default: replica:3 wants 3 of rack, 2 left"] == shortages(record, lost)[:1]


async def test_object_of_parts_is_as_bad_as_its_worst_part(
    store: MappedStore, watch: ClusterWatch
) -> None:
    refs = await put(store, watch, LARGE, 8)
    parts = tuple(BlobPart(ref.blob, LARGE, number) for number, ref in enumerate(refs, 1))
    # Its id comes before those of its parts.
    whole = BlobRecord(size=8 * LARGE, parts=parts)
    record = ObjectRecord(
        sequence=1, size=8 * LARGE, etag="", modified_ms=0, owner="", blob=bytes(16)
    )
    await store.meta.commit(
        [
            Put(blob_key(bytes(16)), encode(whole)),
            Put(object_key(b"bucketid", "whole"), encode(record)),
        ]
    )
    before = await what_if(store.meta, await store.maps.current())
    lost = refs[0].shards[0].osd
    after = await what_if(store.meta, await store.maps.current(), [lost])

    assert 9 == before.safe
    assert 1 + sum(lost in {p.osd for p in ref.shards} for ref in refs) == after.degraded


@pytest.mark.parametrize(
    "changes",
    [
        [Change("add", 8, 4 * ONE, "hdd", (("datacenter", "dc1"), ("rack", "r0")))],
        [Change("reweight", 3, ONE // 4)],
        [Change("drain", 3)],
        [Change("out", 3)],
    ],
)
async def test_moves_that_are_foretold_are_those_that_the_new_map_asks_for(
    store: MappedStore, watch: ClusterWatch, changes: list[Change]
) -> None:
    refs = await put(store, watch, LARGE, 40)
    foretold = await what_if(store.meta, change(await store.maps.current(), changes, now_ms=0))
    for each in changes:
        if each.kind == "add":
            path = str(store.directory / "osd.8")
            keeper = OsdKeeper(store.meta, store.maps, store.clock)
            await keeper.add(path, each.value, each.device_class, each.location)
        else:
            await store.maps.stage(each)
    await store.maps.apply(2)
    await watch.refresh()
    pool = watch.cluster.pools["default"]
    asked = sum(len(pool.standing(ref).astray) for ref in refs)

    assert (40, 0, 0) == (foretold.safe, foretold.degraded, foretold.unreadable)
    assert 0 < foretold.move_shards == asked
    assert foretold.move_bytes == asked * LARGE


async def test_draining_moves_what_the_removal_would_and_the_removal_nothing(
    store: MappedStore, watch: ClusterWatch
) -> None:
    await put(store, watch, LARGE, 40)
    record = await store.maps.current()
    drained = change(record, [Change("drain", 3)], now_ms=0)
    removed = change(record, [Change("remove", 3)], now_ms=0)
    moved = (await what_if(store.meta, drained)).move_shards

    assert 0 < moved == (await what_if(store.meta, removed)).move_shards
