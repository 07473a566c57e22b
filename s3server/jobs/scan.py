"""Finds what a change of the map asks for: shards that are lost with an OSD, and shards astray.

After each new epoch every blob's row is looked at once, in steps, and compared with the map;
nothing is read from the OSDs. What is found becomes repair rows. The place in the table is kept in
the store, so that a scan goes on where a crash ended it; a newer epoch begins it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.records import BlobRecord, Record, decode, encode, store_key
from s3server.core.repairs import OSD_LOST, astray_row, repair_row
from s3server.data.base import Pool
from s3server.jobs.board import Progress
from s3server.meta.base import CorruptRecordError, MetadataStore, Put, Row, Write, after_prefix
from s3server.model import DataRef

ROWS_PER_STEP = 512
_KEY = store_key("scan")
_log = structlog.get_logger("jobs")


class ScanRecord(Record, frozen=True, array_like=True, kw_only=True):
    """How far the scan for an epoch of the map is."""

    epoch: int
    after: bytes = b""  # key of the last row that was looked at
    is_over: bool = False
    blobs: int = 0
    lost: int = 0  # blobs with shards on OSDs that are gone
    astray: int = 0


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one step found, in blobs."""

    lost: int = 0
    astray: int = 0
    has_more: bool = False


class Scan:
    """The scan of one store. `epoch` is that of the map by which the pools place."""

    name = "scan"
    pause_s = 1.0

    def __init__(
        self,
        meta: MetadataStore,
        pools: Mapping[str, Pool],
        *,
        clock: Clock,
        epoch: Callable[[], int],
    ) -> None:
        self._meta, self._pools, self._clock, self._epoch = meta, pools, clock, epoch
        self.progress = Progress(unit="blobs")

    async def step(self) -> Scanned:
        """Look at the next rows, if the map is not the one that all were compared with."""
        row, epoch = await self._meta.get(_KEY), self._epoch()
        state = None if row is None else decode(ScanRecord, row)
        if state is None or state.epoch != epoch:
            state = ScanRecord(epoch=epoch)
        if state.is_over or self._meta.is_full:
            return Scanned()
        start = state.after + b"\0" if state.after else records.BLOB
        blobs = await self._meta.scan(start, after_prefix(records.BLOB), limit=ROWS_PER_STEP)
        writes, found = self._compare(blobs)
        state = replace(
            state,
            after=blobs[-1][0] if blobs else state.after,
            is_over=len(blobs) < ROWS_PER_STEP,
            blobs=state.blobs + len(blobs),
            lost=state.lost + found.lost,
            astray=state.astray + found.astray,
        )
        await self._meta.commit([*writes, Put(_KEY, encode(state))])
        self.progress.done = state.blobs
        self.progress.note = f"epoch {epoch}: {state.lost} lacked shards, {state.astray} astray"
        return Scanned(found.lost, found.astray, has_more=not state.is_over)

    def _compare(self, blobs: list[Row]) -> tuple[list[Write], Scanned]:
        writes: list[Write] = []
        lost = astray = 0
        for _, row in blobs:
            ref = ref_of(row)
            pool = self._pools.get(ref.pool) if ref is not None else None
            if ref is None or pool is None:
                continue
            found = out_of_place(ref, pool, self._clock.now_ms())
            lost += found is not None and found[0]
            astray += found is not None and not found[0]
            writes += [found[1]] if found is not None else []
        return writes, Scanned(lost, astray)


async def scanned_epoch(meta: MetadataStore) -> int:
    """Return the epoch of the map that all blobs were compared with; 0: a scan goes on."""
    row = await meta.get(_KEY)
    state = ScanRecord(epoch=0) if row is None else decode(ScanRecord, row)
    return state.epoch if state.is_over else 0


def out_of_place(ref: DataRef, pool: Pool, now_ms: int) -> tuple[bool, Put] | None:
    """Return whether shards of a blob are lost, and the row that asks for it; None: all is well."""
    standing = pool.standing(ref)
    if standing.lost:
        return True, repair_row(ref, standing.lost, OSD_LOST, since_ms=now_ms)
    if standing.astray:
        return False, astray_row(ref, standing.astray, since_ms=now_ms)
    return None


def ref_of(row: bytes) -> DataRef | None:
    """Return where a blob lies; None where it has no bytes of its own, or its row is damaged."""
    try:
        return decode(BlobRecord, row).ref
    except CorruptRecordError as error:  # the verification of the metadata tells which one
        _log.error("blob row is damaged", reason=str(error))
        return None
