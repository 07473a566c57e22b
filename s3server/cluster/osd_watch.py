"""The state of the OSDs in the eyes of all processes: what one of them met, the others hear of.

An OSD that is down in one process gets a row in the store, and is down in all of them a look
later. Whoever probes it removes the row (`jobs`), and all begin to use it again. Being down moves
no data: the map changes only when the OSD is marked out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import structlog

from s3server.core.clock import Clock
from s3server.core.records import decode, encode
from s3server.core.upkeep_records import DownRecord, osd_down_key
from s3server.data.osd_directory import Usage
from s3server.data.osd_set import OsdSet
from s3server.meta.base import (
    ConflictError,
    CorruptRecordError,
    FullError,
    MetadataStore,
    Put,
    Unchanged,
    after_prefix,
)

NEARFULL_RATIO = 0.85
CATCH_UP_S = 1.0
NEVER_MS = 1 << 62  # since when an OSD is down of which that is not known: never long enough

_log = structlog.get_logger("osds")


class DownRow(NamedTuple):
    """What the store says of an OSD that is down."""

    key: bytes
    row: bytes
    record: DownRecord


async def down_rows(meta: MetadataStore) -> list[DownRow]:
    """Return the OSDs that are down. A row that is damaged still says which one."""
    prefix, found = osd_down_key(), []
    for key, row in await meta.scan(prefix, after_prefix(prefix), limit=1 << 16):
        try:
            record = decode(DownRecord, row)
        except CorruptRecordError as error:
            osd = int(key[len(prefix) :])
            record = DownRecord(osd=osd, since_ms=NEVER_MS, reason=f"its row is damaged: {error}")
        found.append(DownRow(key, row, record))
    return found


class OsdWatch:
    """Looks after an OsdSet; look() is called about once a second."""

    def __init__(
        self,
        meta: MetadataStore,
        osds: OsdSet,
        reopen: Callable[[int], Awaitable[None]],
        *,
        clock: Clock,
        nearfull_ratio: float,
    ) -> None:
        """Prepare. `reopen` opens an OSD that was missing, if it is there."""
        self._meta, self._osds, self._reopen, self._clock = meta, osds, reopen, clock
        self._nearfull_ratio = nearfull_ratio
        self._told: set[int] = set()  # which of those that are down have a row
        self._exchanging = asyncio.Lock()
        self._known: dict[str, frozenset[int]] = {}  # what was logged last
        self._examination: asyncio.Task[None] | None = None
        self._at: tuple[int, float] | None = None  # which OSD is being examined, and since when

    async def look(self) -> None:
        """Exchange news with the other processes, and see how the OSDs are."""
        async with self._exchanging:
            await self._exchange()
        self._examine()
        self._log_changes()

    async def catch_up(self) -> None:
        """Hear now what the others have found, unless an OSD keeps that from being quick."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CATCH_UP_S), self._exchanging:
                    await self._exchange()
        except Exception:  # as with every look: what is known goes on being served
            _log.exception("the state of the OSDs cannot be followed")

    async def _exchange(self) -> None:
        osds = self._osds
        rows = {each.record.osd: each.record for each in await down_rows(self._meta)}
        for record in rows.values():
            osds.mark_down(record.osd, record.reason, is_silent=record.is_silent)
            self._told.add(record.osd)
        for osd in osds.down.keys() - rows.keys():
            if osd in self._told:
                await self._take_back(osd)
                self._told.discard(osd)
            else:
                await self._tell(osd)

    async def _tell(self, osd: int) -> None:
        reason, key = self._osds.down.get(osd, ""), osd_down_key(osd)
        is_silent = osd in self._osds.silent
        record = DownRecord(
            osd=osd, reason=reason, since_ms=self._clock.now_ms(), is_silent=is_silent
        )
        with suppress(ConflictError, FullError):  # told by another one; or told when there is space
            await self._meta.commit([Put(key, encode(record))], [Unchanged(key, None)])
            self._told.add(osd)

    async def _take_back(self, osd: int) -> None:
        """Use an OSD again that was found well; where it is not so here it stays down."""
        if osd not in self._osds.open:
            await self._reopen(osd)
        if osd in self._osds.open:
            self._osds.mark_up(osd)

    def _examine(self) -> None:
        """Look at identity and space of all OSDs; one at which a look sticks does not answer."""
        task = self._examination
        if task is None or task.done():
            self._examination = asyncio.ensure_future(asyncio.to_thread(self._examine_all))
        elif (at := self._at) is not None and time.monotonic() - at[1] > self._osds.deadline_s:
            self._osds.mark_down(at[0], "it does not answer", is_silent=True)
            self._examination = None

    def _examine_all(self) -> None:
        usage: dict[int, Usage] = {}
        for osd, device in list(self._osds.open.items()):
            if osd in self._osds.silent:
                continue
            self._at = (osd, time.monotonic())
            try:
                device.confirm()
                usage[osd] = device.usage()
            except OSError as error:
                self._osds.failed(osd, error)
        self._at = None
        self._osds.note_usage(usage)

    def _log_changes(self) -> None:
        osds = self._osds
        near = {osd for osd, each in osds.usage.items() if each.used_ratio >= self._nearfull_ratio}
        now = {
            "down": frozenset(osds.down),
            "full": osds.full,
            "nearly full": frozenset(near - osds.full),
        }
        for state, members in now.items():
            before = self._known.get(state, frozenset())
            for osd in members - before:
                _log.warning(f"osd is {state}", osd=osd, reason=osds.down.get(osd, ""))
            for osd in before - members:
                _log.info(f"osd is no longer {state}", osd=osd)
        self._known = now
