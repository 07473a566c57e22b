"""Collects garbage: frees the bytes of blobs that nothing uses any more.

A garbage row stands for one reference to each of its blobs. One commit works off many rows: it
lowers the blobs' counts of uses and removes the blobs that nobody uses. Only then their bytes
are freed, so a conflict never costs a byte that is still referred to; what a crash or an OSD
that refuses leaves behind is found by the sweep and by compaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.holds import held_blobs, is_held
from s3server.core.project_records import WAITING, project_scope
from s3server.core.records import BlobRecord, GarbageRecord, decode, encode
from s3server.data.base import DataError, Pool
from s3server.jobs.set_aside import is_sound, take_back, write_aside, write_references_aside
from s3server.meta.base import (
    Add,
    Check,
    ConflictError,
    Delete,
    MetadataStore,
    Put,
    Row,
    Unchanged,
    Write,
    after_prefix,
)
from s3server.model import DataRef

_log = structlog.get_logger("jobs")

ROWS_PER_STEP = 256
BLOBS_PER_STEP = 1_024
TAKE_BACK_MS = 3_600_000  # between looks at what was set aside


@dataclass(frozen=True, slots=True)
class Collected:
    """What one step did: references given up, bytes of blobs that went."""

    blobs: int = 0
    bytes: int = 0
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class _Due:
    """A garbage row: what this step releases of it, and what is left for later ones."""

    key: bytes
    row: bytes
    now: tuple[bytes, ...]
    later: tuple[bytes, ...]
    record: GarbageRecord


class Collect:
    """The garbage collector of one store."""

    name = "collect"
    pause_s = 0.5

    def __init__(
        self, meta: MetadataStore, pools: Mapping[str, Pool], *, clock: Clock, grace_ms: int
    ) -> None:
        self._meta, self._pools, self._clock, self._grace_ms = meta, pools, clock, grace_ms
        self._took_back_ms = -TAKE_BACK_MS

    async def step(self) -> Collected:
        """Work off the oldest garbage that is past its grace: requests may still be reading it."""
        await self._take_back()
        garbage = records.GARBAGE
        rows = await self._meta.scan(garbage, after_prefix(garbage), limit=ROWS_PER_STEP)
        if damaged := [row for row in rows if not is_sound(GarbageRecord, row[1])]:
            await self._set_aside(damaged)
            return Collected(has_more=True)
        due = self._due(rows)
        if not due:
            return Collected()
        try:
            return await self._work_off(due)
        except ConflictError:  # a copy began to share one of them; the others need not wait
            blobs = freed = 0
            for each in due:
                with suppress(ConflictError):
                    done = await self._work_off([each])
                    blobs, freed = blobs + done.blobs, freed + done.bytes
            return Collected(blobs, freed, has_more=True)

    async def _take_back(self) -> None:
        """See now and then whether what was set aside can be worked off."""
        now_ms = self._clock.now_ms()
        if not 0 <= now_ms - self._took_back_ms < TAKE_BACK_MS:
            self._took_back_ms = now_ms
            if taken := await take_back(self._meta):
                _log.info("garbage that was set aside is collected", rows=taken)

    async def _set_aside(self, rows: Sequence[Row]) -> None:
        """Keep rows that cannot be read where they hold nobody up; their blobs are never freed."""
        for key, row in rows:
            _log.error("garbage row is damaged and set aside", key=key.hex(), row=row.hex())
            await self._meta.commit([write_aside(key, row), Delete(key)], [Unchanged(key, row)])

    async def _leave_out(self, due: Sequence[_Due], damaged: Set[bytes]) -> Collected:
        """Set aside the references to blobs whose rows cannot be read; the others go on."""
        for each in due:
            bad = [blob for blob in each.now if records.blob_key(blob) in damaged]
            if not bad:
                continue
            _log.error("blob row is damaged", blobs=[blob.hex() for blob in bad])
            aside = write_references_aside(each.key, bad, each.record.since_ms)
            later = [blob for blob in (*each.now, *each.later) if blob not in bad]
            writes = [aside, *_rest(each, later)]
            await self._meta.commit(writes, [Unchanged(each.key, each.row)])
        return Collected(has_more=True)

    def _due(self, rows: Sequence[Row]) -> list[_Due]:
        due: list[_Due] = []
        room, now_ms = BLOBS_PER_STEP, self._clock.now_ms()
        for key, row in rows:
            record = decode(GarbageRecord, row)
            # What lies further ahead than a grace was written before the clock was set back.
            if abs(now_ms - record.since_ms) < self._grace_ms or not room:
                break
            now, later = record.blobs[:room], record.blobs[room:]
            due.append(_Due(key, row, now, later, record))
            room -= len(now)
        return due

    async def _work_off(self, due: Sequence[_Due]) -> Collected:
        """Release the rows' references in one commit, and free what went. Raises ConflictError."""
        keys = list(dict.fromkeys(records.blob_key(blob) for each in due for blob in each.now))
        found = await self._meta.get_many(keys)
        rows = {key: row for key, row in zip(keys, found, strict=True) if row is not None}
        if damaged := {key for key, row in rows.items() if not is_sound(BlobRecord, row)}:
            return await self._leave_out(due, damaged)
        blobs = {key: decode(BlobRecord, row) for key, row in rows.items()}
        due = await self._not_held(due, blobs)
        if not due:
            return Collected()
        checks: list[Check] = [Unchanged(each.key, each.row) for each in due]
        checks += [Unchanged(key, row) for key, row in rows.items()]
        writes: list[Write] = []
        gone: list[DataRef] = []
        for each in due:
            later = list(each.later)
            for blob in each.now:  # one may stand in several rows, and twice in one
                key = records.blob_key(blob)
                record = blobs.get(key)
                if record is None:
                    continue
                if record.uses > 1:
                    blobs[key] = replace(record, uses=record.uses - 1)
                    continue
                del blobs[key]
                writes.append(Delete(key))
                later += [part.blob for part in record.parts if part.blob]
                if record.ref is not None:
                    gone.append(record.ref)
            writes += _rest(each, later)
        writes += [
            Put(key, encode(record))
            for key, record in blobs.items()
            if record != decode(BlobRecord, rows[key])
        ]
        await self._meta.commit(writes, checks)
        for ref in gone:
            await self._free(ref)
        released = sum(len(each.now) for each in due)
        return Collected(released, sum(ref.size for ref in gone), has_more=True)

    async def _not_held(
        self, due: Sequence[_Due], blobs: Mapping[bytes, BlobRecord]
    ) -> Sequence[_Due]:
        """Leave out the rows with a composite blob that a long download is still reading."""
        held = await held_blobs(self._meta, self._clock.now_ms())
        keys = {key for key, record in blobs.items() if is_held(record, held)}
        return [each for each in due if keys.isdisjoint(map(records.blob_key, each.now))]

    async def _free(self, ref: DataRef) -> None:
        pool = self._pools.get(ref.pool)
        if pool is not None:
            with suppress(DataError):
                await pool.delete(ref)


def _rest(due: _Due, later: Sequence[bytes]) -> list[Write]:
    if later:
        return [Put(due.key, encode(replace(due.record, blobs=tuple(later))))]
    writes: list[Write] = [Delete(due.key)]
    if due.record.size:
        waiting = project_scope(due.record.project) + WAITING.encode()
        writes.append(Add(waiting, -due.record.size))
    return writes
