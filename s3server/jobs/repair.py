"""Works off the repair rows, the most endangered blobs first: every shard is whole again.

A row is a hint: what is to be done is decided by looking at the blob's shards and at today's map.
The new place of a blob is committed with the removal of its row, and only where nothing else has
changed the blob meanwhile; the shards that it replaced go after readers had time to finish.
Whatever is written in vain is a dead record for compaction, or a file for the sweep.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass

import structlog
from msgspec import structs

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.records import BlobRecord, RepairRecord, decode, encode
from s3server.core.repairs import ASTRAY, LOST, SEEN_WITHOUT_READING, lost_row, repair_row
from s3server.data.base import DataError, Pool
from s3server.data.osd_directory import DirectoryOsd
from s3server.jobs.board import Progress
from s3server.jobs.scan import ref_of
from s3server.jobs.throttle import Throttle
from s3server.meta.base import (
    Check,
    ConflictError,
    CorruptRecordError,
    Delete,
    MetadataStore,
    Put,
    Row,
    Unchanged,
    Write,
    after_prefix,
)
from s3server.model import ABSENT, DataRef, ShardPlace

ROWS_PER_STEP = 64
BYTES_PER_STEP = 64 << 20
LARGE_AT_ONCE = 8  # each has buffers of some MiB
RETRY_MS = 30_000  # after which what could not be repaired is tried again
RETRY_LOST_MS = 600_000
COUNT_EVERY_MS = 30_000
COUNT_UP_TO = 1_000_000


@dataclass(frozen=True, slots=True)
class Repaired:
    """What one step did."""

    repaired: int = 0  # blobs that are whole again
    moved: int = 0  # blobs that lie where the map says again
    bytes: int = 0  # of these blobs
    failed: int = 0  # blobs to be tried again
    lost: int = 0  # blobs found unreadable
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class _Replaced:
    """A shard file that is no longer referred to."""

    due_ms: int
    blob: bytes
    index: int
    osd: int
    since_ms: int  # a file written later is another one


class Repair:
    """The repair of one store."""

    name = "repair"
    pause_s = 1.0

    def __init__(
        self,
        meta: MetadataStore,
        pools: Mapping[str, Pool],
        osds: Mapping[int, DirectoryOsd],
        *,
        clock: Clock,
        grace_ms: int,
        repair: Throttle,
        rebalance: Throttle,
        down: Callable[[], Collection[int]] = frozenset,
    ) -> None:
        """Prepare. `down` tells which OSDs take nothing now: when one is back, all begins anew."""
        self._meta, self._pools, self._osds, self._clock = meta, pools, osds, clock
        self._grace_ms, self._down = grace_ms, down
        self._throttles = (repair, rebalance)
        self._commit = Commits(meta)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._after: dict[int, bytes] = {}  # level -> where to go on
        self._rest_ms: dict[int, int] = {}  # level -> when to begin again
        self._here: frozenset[int] = frozenset()
        self._replaced: deque[_Replaced] = deque()
        self._counted_ms = 0
        self.progress = Progress(unit="blobs")
        self._log = structlog.get_logger("jobs")

    async def step(self) -> Repaired:
        """Repair the next blobs of the most endangered level that has any to be tried now."""
        await self._free_replaced()
        if self._meta.is_full:  # what is moved could not be committed, and would only take space
            return Repaired()
        await self._look_around()
        rows = await self._next_rows()
        if rows and self.progress.done >= self.progress.total:  # more has come since the last count
            await self._count_left()
        done = await asyncio.gather(*(self._work_off(key, row) for key, row in rows))
        total = Repaired(
            repaired=sum(each.repaired for each in done),
            moved=sum(each.moved for each in done),
            bytes=sum(each.bytes for each in done),
            failed=sum(each.failed for each in done),
            lost=sum(each.lost for each in done),
            has_more=bool(rows),
        )
        self.progress.done += len(rows) - total.failed - total.lost
        if rows:
            await self._throttles[rows[0][0][1] == ASTRAY].spend(total.bytes)
        return total

    async def _look_around(self) -> None:
        """Begin anew where OSDs came or went; count what is left to do now and then."""
        here, now = frozenset(self._osds) - frozenset(self._down()), self._clock.now_ms()
        if here != self._here:
            self._here = here
            self._rest_ms.clear()
            self._after.clear()
        if 0 < self._counted_ms <= now < self._counted_ms + COUNT_EVERY_MS:
            return
        self._counted_ms = now
        await self._count_left()

    async def _count_left(self) -> None:
        left = await _count(self._meta, records.REPAIR, after_prefix(records.REPAIR))
        lost = await _count(self._meta, _level(LOST), after_prefix(records.REPAIR))
        if left == lost:  # nothing that can be done
            self.progress.done = 0
        self.progress.total = self.progress.done + left - lost
        self.progress.note = f"{lost} blobs cannot be read" if lost else ""

    async def _next_rows(self) -> list[Row]:
        end, at, now = after_prefix(records.REPAIR), records.REPAIR, self._clock.now_ms()
        next_level = 0
        while first := await self._meta.scan(at, end, limit=1):
            level = first[0][0][1]
            at = _level(level + 1) if level < 255 else end
            self._begin_anew(range(next_level, level))
            next_level = level + 1
            retry_ms = RETRY_LOST_MS if level == LOST else RETRY_MS
            if not 0 <= self._rest_ms.get(level, now) - now <= retry_ms:  # or the clock is set back
                self._after.pop(level, None)
                self._rest_ms.pop(level, None)
            start = self._after.get(level, first[0][0])
            rows = await self._meta.scan(start, at, limit=ROWS_PER_STEP)
            if rows := await self._bounded(rows):
                self._after[level] = rows[-1][0] + b"\0"
                return rows
            self._rest_ms.setdefault(level, now + retry_ms)
        self._begin_anew(range(next_level, 256))
        return []

    def _begin_anew(self, empty: range) -> None:
        """Take what comes into levels that are empty whatever its key, and at once."""
        for level in [each for each in self._after if each in empty]:
            del self._after[level]
            self._rest_ms.pop(level, None)

    async def _bounded(self, rows: list[Row]) -> list[Row]:
        """Return as many of these rows as a step may repair the blobs of."""
        blobs = await self._meta.get_many([records.blob_key(key[2:]) for key, _ in rows])
        size = 0
        for count, blob in enumerate(blobs):
            if count and size > BYTES_PER_STEP:
                return rows[:count]
            ref = None if blob is None else ref_of(blob)
            size += ref.size if ref is not None else 0
        return rows

    async def _work_off(self, key: bytes, row: bytes) -> Repaired:
        """Repair one blob; what cannot be done now leaves the row as it is."""
        try:
            return await self._repair(key, row)
        except CorruptRecordError as error:  # a row says nothing: not this one nor the blob's
            self._log.error("not repaired", blob=key[2:].hex(), reason=str(error))
            return Repaired(failed=1)

    async def _repair(self, key: bytes, row: bytes) -> Repaired:
        """Repair one blob. Raises CorruptRecordError where a row of it is damaged."""
        blob_row = await self._meta.get(records.blob_key(key[2:]))
        ref = None if blob_row is None else decode(BlobRecord, blob_row).ref
        if ref is None:  # it was deleted
            with suppress(ConflictError):
                await self._meta.commit([Delete(key)], [Unchanged(key, row)])
            return Repaired()
        pool = self._pools.get(ref.pool)
        if pool is None:
            return Repaired(failed=1)
        deep = decode(RepairRecord, row).reason not in SEEN_WITHOUT_READING
        try:
            async with self._large if ref.stripe else nullcontext():
                repaired = await pool.repair(ref, deep=deep)
        except DataError as error:
            self._log.warning("not repaired", blob=ref.blob.hex(), reason=str(error))
            return await self._look_whether_lost(key, row, ref, deep=deep)
        if not await self._adopt(key, row, ref, repaired):
            return await self._look_whether_lost(key, row, repaired, deep=False)
        self._replace(ref, repaired)
        if key[1] == ASTRAY:
            return Repaired(moved=1, bytes=ref.size)
        return Repaired(repaired=1, bytes=ref.size)

    async def _adopt(self, key: bytes, row: bytes, old: DataRef, new: DataRef) -> bool:
        """Commit a blob's new place and the removal of its row; tell whether it is whole now.

        Where shards could not be written it is asked for again, with what it survives now.
        """
        blob_key, pool = records.blob_key(old.blob), self._pools[old.pool]

        async def plan() -> Plan[bool]:
            blob_row, row_now = await self._meta.get_many([blob_key, key])
            record = None if blob_row is None else decode(BlobRecord, blob_row)
            if record is None:  # deleted meanwhile: nobody will ever refer to what was written
                await pool.delete(_only_new(old, new))
                return Plan(result=False)
            if record.ref != old:  # moved meanwhile: what was written may be part of that
                return Plan(result=False)
            standing = pool.standing(new)
            missing = standing.lost + standing.away
            if missing and new == old:
                return Plan(result=False)
            writes: list[Write] = []
            if row_now == row:  # else there is something new to be done
                writes.append(Delete(key))
            if missing:
                asked = decode(RepairRecord, row)
                writes.append(repair_row(new, missing, asked.reason, since_ms=asked.since_ms))
            if new != old:
                writes.append(Put(blob_key, encode(structs.replace(record, ref=new))))
            checks: list[Check] = [Unchanged(blob_key, blob_row), Unchanged(key, row_now)]
            return Plan(result=not missing, writes=writes, checks=checks)

        return await self._commit(plan)

    async def _look_whether_lost(
        self, key: bytes, row: bytes, ref: DataRef, *, deep: bool
    ) -> Repaired:
        """List a blob for the operator where too few of its shards can be read."""
        health = await self._pools[ref.pool].check(ref, deep=deep)
        if key[1] == LOST or health.is_readable:
            return Repaired(failed=1)
        blob_row = await self._meta.get(records.blob_key(ref.blob))
        if blob_row is None or ref_of(blob_row) != ref:  # deleted or moved meanwhile
            return Repaired(failed=1)
        self._log.error("blob cannot be read", blob=ref.blob.hex(), shards=health.shards)
        bad = [index for index, state in enumerate(health.shards) if state != "ok"]
        lost = lost_row(ref, bad, since_ms=self._clock.now_ms())
        with suppress(ConflictError):
            await self._meta.commit([Delete(key), lost], [Unchanged(key, row)])
        return Repaired(lost=1)

    def _replace(self, old: DataRef, new: DataRef) -> None:
        """Remember the files of shards that lie elsewhere now; what is forgotten the sweep finds.

        A reader that found the old place in the row is given time to finish.
        """
        now = self._clock.now_ms()
        self._replaced += (
            _Replaced(now + self._grace_ms, old.blob, index, place.osd, now)
            for index, place in enumerate(old.shards if old.stripe else ())
            if place.osd not in (ABSENT, new.shards[index].osd)
        )

    async def _free_replaced(self) -> None:
        now = self._clock.now_ms()
        while self._replaced and self._replaced[0].due_ms <= now:
            gone = self._replaced.popleft()
            row = await self._meta.get(records.blob_key(gone.blob))
            ref = None if row is None else ref_of(row)
            osd = self._osds.get(gone.osd)
            is_known = row is None or ref is not None  # else it is damaged
            if (
                osd is None
                or not is_known
                or (ref is not None and ref.shards[gone.index].osd == gone.osd)
            ):
                continue
            with suppress(OSError):  # the sweep tries again
                await asyncio.to_thread(
                    osd.remove_old_shard, gone.blob, gone.index, gone.since_ms / 1000
                )


def _level(level: int) -> bytes:
    return records.REPAIR + bytes((level,))


def _only_new(old: DataRef, new: DataRef) -> DataRef:
    """Return a reference to the shards only of which `old` knows nothing."""
    shards = tuple(
        ShardPlace(ABSENT) if now == before else now
        for before, now in zip(old.shards, new.shards, strict=True)
    )
    return structs.replace(new, shards=shards)


async def _count(meta: MetadataStore, start: bytes, stop: bytes) -> int:
    """Return how many rows there are; COUNT_UP_TO where there are more."""
    count = 0
    while count < COUNT_UP_TO and (rows := await meta.scan(start, stop, limit=10_000)):
        count, start = count + len(rows), rows[-1][0] + b"\0"
    return count
