"""Which OSDs the journal is kept on as the map changes; a store is not made where one was."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from s3server import maintenance
from s3server.cluster.changes import Change
from s3server.cluster.maps import ClusterMaps
from s3server.core.clock import SystemClock
from s3server.meta.base import UnavailableError
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
