"""A process follows the map: OSDs and placement change under pools that stay."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from placement.cluster_map import ONE
from s3server.cluster.changes import Change
from s3server.cluster.live import Cluster, ClusterWatch
from tests.support.blobs import BytesSource
from tests.support.cluster_maps import POOL, MappedStore, numbered

LARGE = 300_000


@pytest.fixture
def store(tmp_path: Path) -> MappedStore:
    return MappedStore(tmp_path)


@pytest.fixture
async def watch(store: MappedStore) -> AsyncIterator[ClusterWatch]:
    await store.seed(*numbered(3))
    watch = await store.watch()
    yield watch
    await watch.close()


async def write(cluster: Cluster, size: int = LARGE, count: int = 40) -> set[int]:
    """Write blobs; return on which OSDs their shards lie."""
    pool = cluster.pools["default"]
    refs = [await pool.write(BytesSource(bytes(size))) for _ in range(count)]
    return {place.osd for ref in refs for place in ref.shards}


async def test_nothing_is_done_while_the_map_stays(watch: ClusterWatch) -> None:
    assert not await watch.refresh()


@pytest.mark.parametrize("size", [100, LARGE])
async def test_osd_that_is_added_takes_what_is_written_from_then_on(
    store: MappedStore, watch: ClusterWatch, size: int
) -> None:
    pool, osds = watch.cluster.pools["default"], watch.cluster.osds
    before = await write(watch.cluster, size, 1)
    await store.seed(*numbered(6))

    assert await watch.refresh()
    assert {0, 1, 2} == before
    assert {0, 1, 2, 3, 4, 5} == await write(watch.cluster, size)
    assert (pool, osds) == (watch.cluster.pools["default"], watch.cluster.osds)


async def test_upload_that_is_under_way_is_not_disturbed(
    store: MappedStore, watch: ClusterWatch
) -> None:
    data, pool = bytes(range(256)) * 20_000, watch.cluster.pools["default"]

    async def change_the_map() -> None:
        await store.maps.change(Change("reweight", 0, ONE // 2))
        await watch.refresh()

    ref = await pool.write(BytesSource(data, before_each=change_the_map))
    assert data == await pool.read(ref, 0, len(data))


@pytest.mark.parametrize("kind", ["out", "drain"])
async def test_osd_that_is_out_gets_nothing_and_is_still_read(
    store: MappedStore, kind: str
) -> None:
    await store.seed(*numbered(4))
    watch = await store.watch()
    pool = watch.cluster.pools["default"]
    ref = await pool.write(BytesSource(b"x" * LARGE))
    osd = ref.shards[0].osd
    await store.maps.change(Change(kind, osd))  # type: ignore[arg-type]
    await watch.refresh()

    assert {0, 1, 2, 3} - {osd} == await write(watch.cluster)
    assert ("ok",) * 3 == (await pool.check(ref)).shards
    await watch.close()


async def test_osd_that_is_removed_is_let_go(store: MappedStore, watch: ClusterWatch) -> None:
    await store.seed(*numbered(4))
    await store.maps.change(Change("remove", 0))
    await watch.refresh()

    assert [1, 2, 3] == sorted(watch.cluster.osds)
    assert {1, 2, 3} == await write(watch.cluster)


async def test_pool_that_is_new_in_the_settings_comes_into_use(
    store: MappedStore, watch: ClusterWatch
) -> None:
    await store.seed(*numbered(3), pools=(POOL, {**POOL, "name": "pair", "codec": "replica:2"}))
    await watch.refresh()
    ref = await watch.cluster.pools["pair"].write(BytesSource(b"y" * LARGE))

    assert ("pair", 2) == (ref.pool, len(ref.shards))


async def test_missing_osd_keeps_nothing_from_being_served(
    store: MappedStore, tmp_path: Path
) -> None:
    await store.seed(*numbered(4))
    shutil.rmtree(tmp_path / "osd.2")
    watch = await store.watch()

    assert [2] == list(watch.cluster.missing)
    assert {0, 1, 3} == await write(watch.cluster)
    await watch.close()


async def test_osd_that_was_made_again_is_not_the_one_of_the_map(
    store: MappedStore, tmp_path: Path
) -> None:
    await store.seed(*numbered(3))
    identity = tmp_path / "osd.1" / "osd.json"
    text = identity.read_text()
    start = text.index('"uuid":"') + 8
    identity.write_text(text[:start] + "0" * 36 + text[start + 36 :])
    watch = await store.watch()

    assert "of uuid 00000000" in watch.cluster.missing[1]
    await watch.close()
