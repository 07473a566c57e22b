"""Which OSDs the journal is kept on, as the map changes while the server runs."""

from __future__ import annotations

from pathlib import Path

from s3server import maintenance
from s3server.cluster.changes import Change
from s3server.cluster.maps import ClusterMaps
from s3server.core.clock import SystemClock
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
    await meta.commit([])
    segments = {osd: len(list(tmp_path.glob(f"osd.{osd}/journal/*.log"))) for osd in range(4)}
    assert {0: 2, 1: 1, 2: 2, 3: 1} == segments
    await meta.close()
