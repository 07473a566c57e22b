"""Which OSDs the journal is kept on as the map changes; a store is not made where one was."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from placement.cluster_map import ONE
from s3server import maintenance
from s3server.cluster.changes import Change
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.seed import location_of
from s3server.config import Config
from s3server.core.clock import SystemClock
from s3server.meta.base import Add, UnavailableError
from s3server.meta.journal import LEAVE_S
from s3server.metadata import follow_map, mapped_candidates, open_metadata
from s3server.settings import quickstart_config


async def test_journal_leaves_an_osd_that_the_map_has_out(tmp_path: Path) -> None:
    config = quickstart_config(tmp_path, access_key="AKIATEST", secret_key="s" * 20, osds=4)
    await maintenance.initialise(config)
    meta = await open_metadata(config)
    assert meta.journal is not None
    used = [each.osd.id for each in meta.journal.candidates]
    found = await mapped_candidates(meta, "default")
    assert sorted(used) == [each.osd.id for each in found] == [0, 1, 2, 3]
    assert 4 == len({each.domain for each in found})
    await ClusterMaps(meta, SystemClock()).change(Change("out", 1))
    await follow_map(config, meta)
    meta.journal._monotonic = lambda: time.monotonic() + LEAVE_S
    await meta.commit([])
    segments = {osd: len(list(tmp_path.glob(f"osd.{osd}/journal/*.log"))) for osd in range(4)}
    assert {0: 2, 1: 1, 2: 2, 3: 1} == segments
    await meta.close()


@pytest.fixture
async def copied(tmp_path: Path) -> tuple[Config, Path]:
    """Return the settings of a copy of a store with an OSD of its own, and the original."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    config = quickstart_config(original, access_key="AKIATEST", secret_key="s" * 20)
    await maintenance.initialise(config)
    async with maintenance.open_operated(config) as store:
        added = str(original / "osd.3")
        await store.keeper.add(added, ONE, "hdd", location_of(config.osds[0]))
        await store.keeper.apply(2)
    shutil.copytree(original, copy)
    return quickstart_config(copy, access_key="AKIATEST", secret_key="s" * 20), original


async def paths_of(config: Config) -> list[str]:
    """Return where a store, when it is opened, looks for its OSDs."""
    meta = await open_metadata(config)
    await meta.commit([Add(b"n", 1)])
    found = await ClusterMaps(meta, SystemClock()).osds()
    await meta.close()
    return [osd.path for osd in found.values()]


@pytest.mark.parametrize("is_restored", [False, True])
async def test_copy_of_a_store_has_its_osds_below_it_and_leaves_the_original_alone(
    copied: tuple[Config, Path], tmp_path: Path, is_restored: bool
) -> None:
    config, original = copied
    before = bytes_below(original)
    if is_restored:
        shutil.rmtree(tmp_path / "copy" / "meta")
        await maintenance.restore(config, force=False, accept_missing=False)
    assert [str(tmp_path / "copy" / f"osd.{osd}") for osd in range(4)] == await paths_of(config)
    assert before == bytes_below(original)


async def test_osd_that_was_not_copied_with_its_store_is_looked_for_where_it_was(
    copied: tuple[Config, Path], tmp_path: Path
) -> None:
    config, original = copied
    shutil.rmtree(tmp_path / "copy" / "osd.3")
    assert str(original / "osd.3") == (await paths_of(config))[3]


def bytes_below(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_store_is_not_made_anew_where_metadata_and_all_disks_are_missing(
    tmp_path: Path,
) -> None:
    """The mount points are there, and empty: nothing may be made below them."""
    config = quickstart_config(tmp_path, access_key="AKIATEST", secret_key="s" * 20)
    await maintenance.initialise(config)
    await maintenance.initialise(config)
    shutil.rmtree(tmp_path / "meta")
    for osd in config.osds:
        osd.path.rename(tmp_path / f"disk.{osd.id}")
        osd.path.mkdir()
    with pytest.raises(UnavailableError, match="are the disks mounted"):
        await maintenance.initialise(config)
    assert not (tmp_path / "meta").exists()
    for osd in config.osds:
        assert [] == list(osd.path.iterdir())
        osd.path.rmdir()
        (tmp_path / f"disk.{osd.id}").rename(osd.path)
    await maintenance.restore(config, force=False, accept_missing=False)
    await maintenance.initialise(config)


async def test_store_is_made_anew_where_the_operator_says_so(tmp_path: Path) -> None:
    config = quickstart_config(tmp_path, access_key="AKIATEST", secret_key="s" * 20)
    await maintenance.initialise(config)
    for directory in (tmp_path / "meta", *(osd.path for osd in config.osds)):
        shutil.rmtree(directory)
    before = (tmp_path / "meta.cluster").read_text()
    (tmp_path / "meta.cluster").unlink()
    await maintenance.initialise(config)
    assert before != (tmp_path / "meta.cluster").read_text()
