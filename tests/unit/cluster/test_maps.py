"""The stored map: seeded by the settings, staged, applied once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from placement.cluster_map import ONE, MapError
from s3server.cluster.changes import Change, shortages
from s3server.cluster.map_record import MapRecord, osd_key
from s3server.core.records import decode, encode
from tests.support.cluster_maps import POOL, MappedStore, numbered

ADDED = Change("add", 9, 4 * ONE, "ssd", (("rack", "r2"), ("host", "n2")))


@pytest.fixture
async def store(tmp_path: Path) -> MappedStore:
    found = MappedStore(tmp_path)
    await found.seed(*numbered(3))
    return found


async def test_first_start_makes_the_map_of_the_settings(store: MappedStore) -> None:
    record = await store.maps.current()
    (pool,) = record.pools
    tree = record.tree()

    assert (1, [0, 1, 2]) == (record.epoch, [osd.id for osd in record.osds])
    assert ["localhost", "rack1", "dc1", "default"] == [b.name for b in tree.path(0)]
    assert ("default", 3, 1, "firstn") == (pool.name, pool.total, pool.needed, pool.rule.mode)


async def test_start_with_the_same_settings_changes_nothing(store: MappedStore) -> None:
    before = await store.maps.current()
    await store.seed(*numbered(3))

    assert before == await store.maps.current()


async def test_osds_and_pools_that_are_new_in_the_settings_make_one_epoch(
    store: MappedStore,
) -> None:
    before = await store.maps.current()
    wide = {**POOL, "name": "wide", "codec": "ec:3+2"}
    await store.seed(*numbered(5), pools=(POOL, wide))
    after = await store.maps.current()

    assert (2, [0, 1, 2, 3, 4]) == (after.epoch, [osd.id for osd in after.osds])
    assert [(0, "default"), (1, "wide")] == [(pool.id, pool.name) for pool in after.pools]
    assert before.nodes[0].id == after.nodes[0].id


async def test_settings_that_differ_from_the_map_are_named_in_a_warning(
    store: MappedStore,
) -> None:
    before = await store.maps.current()
    with capture_logs() as events:
        await store.seed(*numbered(3, weight=2.0), pools=({**POOL, "codec": "replica:2"},))

    assert before == await store.maps.current()
    assert [0, 1, 2, "default"] == [each.get("osd", each.get("pool")) for each in events]


async def test_osd_that_moved_is_found_where_the_settings_say(
    store: MappedStore, tmp_path: Path
) -> None:
    (tmp_path / "osd.1").rename(tmp_path / "elsewhere")
    await store.seed({"id": 0}, {"id": 1, "path": str(tmp_path / "elsewhere")}, {"id": 2})
    watch = await store.watch()
    await watch.close()

    assert {} == watch.cluster.missing


async def test_staged_changes_wait_until_they_are_applied(store: MappedStore) -> None:
    await store.maps.stage(ADDED)
    await store.maps.stage(Change("reweight", 0, ONE // 2), Change("drain", 1))
    before = await store.maps.current()
    after = await store.maps.apply(2)

    assert (1, 2) == (before.epoch, after.epoch)
    assert after == await store.maps.current()
    assert () == await store.maps.staged()
    assert (
        "add osd.9 weight=4 class=ssd rack=r2 host=n2",
        "reweight osd.0 0.5",
        "drain osd.1",
    ) == after.changes


async def test_what_is_staged_is_applied_once_however_many_try(store: MappedStore) -> None:
    await store.maps.stage(ADDED)
    tries = [store.maps.apply(2) for _ in range(5)]
    found = await asyncio.gather(*tries, return_exceptions=True)

    assert [MapError] * 4 + [MapRecord] == sorted(map(type, found), key=lambda kind: kind.__name__)
    assert 2 == (await store.maps.current()).epoch


async def test_difference_that_is_out_of_date_is_not_applied(store: MappedStore) -> None:
    await store.maps.stage(ADDED)
    await store.maps.change(Change("out", 2))

    with pytest.raises(MapError, match="the next epoch is 3, not 2"):
        await store.maps.apply(2)
    assert 3 == (await store.maps.apply(3)).epoch


async def test_reverting_forgets_what_was_staged(store: MappedStore) -> None:
    await store.maps.stage(ADDED)

    assert (ADDED,) == await store.maps.revert()
    with pytest.raises(MapError, match="nothing is staged"):
        await store.maps.apply(2)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change("out", 7), "osd.7 is not in the map"),
        (Change("remove", 7), "no device osd.7"),
        (Change("reweight", 0, 2 * ONE), "outside"),
        (Change("add", 0), "osd.0 exists"),
        (Change("add", 9, location=(("rack", "localhost"),)), "localhost exists elsewhere"),
    ],
)
async def test_change_that_cannot_be_made_is_not_staged(
    store: MappedStore, change: Change, text: str
) -> None:
    with pytest.raises(MapError, match=text):
        await store.maps.stage(change)
    assert () == await store.maps.staged()


async def test_osd_that_comes_in_again_has_its_weights_back(store: MappedStore) -> None:
    seeded = await store.maps.current()
    await store.maps.change(Change("out", 0), Change("drain", 1))
    away = await store.maps.current()
    back = await store.maps.change(Change("in", 0), Change("in", 1))

    assert [0, ONE, ONE] == [device.reweight for device in away.placed_by().devices]
    assert [ONE, 0, ONE] == [device.weight for device in away.placed_by().devices]
    assert seeded.placed_by().devices == back.placed_by().devices


async def test_number_of_a_removed_osd_stays_taken(store: MappedStore) -> None:
    await store.maps.stage(Change("remove", 2))
    await store.maps.apply(2)
    await store.seed(*numbered(3))

    assert [0, 1] == [osd.id for osd in (await store.maps.current()).osds]
    assert (await store.maps.osds())[2].is_removed


async def test_pools_with_too_few_failure_domains_are_named(store: MappedStore) -> None:
    assert [] == shortages(await store.maps.current())
    await store.maps.change(Change("out", 0))
    found = shortages(await store.maps.current())

    assert ["pool default: replica:3 wants 3 of osd, 2 left"] == found


async def test_records_survive_being_stored(store: MappedStore) -> None:
    record = await store.maps.current()

    assert record == decode(MapRecord, encode(record))
    assert osd_key(9) < osd_key(10) < osd_key(65_535)
