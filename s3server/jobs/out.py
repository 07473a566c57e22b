"""Marks OSDs out that have been down for too long, so that their shards are made again elsewhere.

Down moves nothing: a disk that is back within minutes is cheaper than a repair. An OSD stays in
where without it a pool would have fewer failure domains than shards: nothing could be made again.
Nothing is marked in by itself: an operator looks at a disk that was away before data go there.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from s3server.cluster.changes import Change, change, shortages
from s3server.cluster.map_record import MapRecord
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.osd_watch import down_rows
from s3server.core.clock import Clock
from s3server.jobs.board import Progress
from s3server.meta.base import MetadataStore

_log = structlog.get_logger("jobs")


@dataclass(frozen=True, slots=True)
class MarkedOut:
    """What one step did."""

    out: int = 0  # OSDs
    has_more: bool = False


class Out:
    """Looks after the OSDs that are down."""

    name = "out"
    pause_s = 5.0

    def __init__(self, meta: MetadataStore, *, clock: Clock, down_out_ms: int) -> None:
        self._meta, self._clock, self._down_out_ms = meta, clock, down_out_ms
        self._maps = ClusterMaps(meta, clock)
        self.progress = Progress()

    async def step(self) -> MarkedOut:
        """Mark those out whose time has come, each with an epoch of its own."""
        now, done = self._clock.now_ms(), 0
        kept: list[str] = []
        for _, _, down in await down_rows(self._meta):
            record = await self._maps.current()
            if now - down.since_ms < self._down_out_ms or not _is_in(record, down.osd):
                continue
            out = Change("out", down.osd)
            if set(shortages(change(record, [out], now_ms=now))) - set(shortages(record)):
                kept.append(f"osd.{down.osd} is down and cannot be out: too few are left")
                continue
            _log.warning("osd is out", osd=down.osd, reason=down.reason)
            await self._maps.change(out)
            done += 1
        self.progress.note = "; ".join(kept)
        return MarkedOut(done)


def _is_in(record: MapRecord, osd: int) -> bool:
    return any(entry.id == osd and entry.state == "in" for entry in record.osds)
