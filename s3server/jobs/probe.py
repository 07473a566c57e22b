"""Probes OSDs that are down: one that is there, is ours and takes a file durably is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from s3server.cluster.osd_watch import down_rows
from s3server.data.osd_directory import DirectoryOsd
from s3server.meta.base import ConflictError, Delete, MetadataStore, Unchanged

PROBE_S = 5.0  # after which a probe is left to itself; no second one is begun meanwhile

_log = structlog.get_logger("jobs")


@dataclass(frozen=True, slots=True)
class Probed:
    """What one step did."""

    back: int = 0  # OSDs
    has_more: bool = False


class Probe:
    """The probing of all OSDs that have a row that says they are down."""

    name = "probe"
    pause_s = 2.0

    def __init__(
        self,
        meta: MetadataStore,
        osds: Mapping[int, DirectoryOsd],
        reopen: Callable[[int], Awaitable[None]],
    ) -> None:
        """Prepare. `reopen` opens an OSD that is not in `osds`, if it is there."""
        self._meta, self._osds, self._reopen = meta, osds, reopen
        self._running: dict[int, asyncio.Task[bool]] = {}

    async def step(self) -> Probed:
        """Probe every OSD that is down; remove the rows of those that are well."""
        back = 0
        for each in await down_rows(self._meta):
            if not await self._is_well(each.record.osd):
                continue
            try:
                await self._meta.commit([Delete(each.key)], [Unchanged(each.key, each.row)])
            except ConflictError:
                continue
            _log.info("osd is back", osd=each.record.osd)
            back += 1
        return Probed(back)

    async def _is_well(self, osd: int) -> bool:
        task = self._running.get(osd)
        if task is None:
            task = self._running[osd] = asyncio.create_task(self._probe(osd))
        done, _ = await asyncio.wait([task], timeout=PROBE_S)
        if not done:
            return False
        del self._running[osd]
        return task.result()

    async def _probe(self, osd: int) -> bool:
        if osd not in self._osds:
            await self._reopen(osd)
        device = self._osds.get(osd)
        if device is None:
            return False
        try:
            await asyncio.to_thread(device.probe)
        except OSError:
            return False
        return True
