"""Counts what was used: folds the workers' counts of traffic into rows, and what is held each hour.

Both are done in commits that also say how far they went, so that a step that dies is neither lost
nor done twice. Rows and files that are damaged hold up no others. At each full hour (UTC) what is
held then counts for the hour before it; hours in which nobody counted, as the server was down,
count what was held after them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from msgspec.structs import replace

from s3server import metering
from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.damaged import Damaged
from s3server.core.project_records import (
    COUNTED_BYTES,
    PASSED,
    TALLY,
    bucket_scope,
    project_key,
    project_scope,
)
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.core.records import BucketRecord, decode, encode
from s3server.core.usage_records import (
    FOLDED,
    HOUR_MS,
    SAMPLED,
    FoldedRecord,
    Kind,
    SampledRecord,
    UsageRecord,
    bucket_name_of,
    folded_key,
    usage_key,
)
from s3server.jobs.set_aside import write_aside
from s3server.meta.base import (
    Add,
    Check,
    CorruptRecordError,
    Delete,
    MetadataStore,
    Put,
    Row,
    Unchanged,
    Write,
    after_prefix,
    decode_counter,
)

SCOPES_PER_STEP = 256
_AHEAD_HOURS = 24  # what was counted further ahead was so by a clock that has been set back
_HELD = (*COUNTED_BYTES, "objects", "old")
Named = tuple[Kind, str]
_log = structlog.get_logger("jobs")

Counts = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Used:
    """What one step did."""

    folded: int = 0  # requests
    sampled: int = 0  # buckets, projects and users
    has_more: bool = False


class Usage:
    """The accounts of one store."""

    name = "usage"
    pause_s = 5.0

    def __init__(self, meta: MetadataStore, directory: Path, *, clock: Clock) -> None:
        self._meta, self._directory, self._clock = meta, directory, clock
        self._unread: set[Path] = set()  # files that were told of
        self._damaged = Damaged("jobs")

    async def step(self) -> Used:
        """Fold every file of traffic, and count what is held if an hour is over."""
        files = await asyncio.to_thread(metering.files_of, self._directory)
        folded = 0
        for file in files:
            try:
                folded += await self._fold(file)
            except (OSError, ValueError, CorruptRecordError) as error:  # that file alone
                if file not in self._unread:
                    _log.warning("traffic is not accounted", file=str(file), error=str(error))
                self._unread.add(file)
        await self._forget(files)
        sampled, has_more = await self._sample()
        return Used(folded, sampled, has_more)

    # --- traffic ------------------------------------------------------------------------------

    async def _fold(self, file: Path) -> int:
        """Take what a file counted since the last time; return how many requests."""
        is_written_to = await asyncio.to_thread(metering.is_written_to, file)
        entries = await asyncio.to_thread(lambda: list(metering.read_file(file)))
        key = folded_key(file.name)
        row = await self._meta.get(key)
        before = () if row is None else decode(FoldedRecord, row).counts
        counts = tuple(entry.counts for entry in entries)
        if counts != before:
            used: dict[Named, Counter[int]] = {}
            for index, entry in enumerate(entries):
                known = before[index] if index < len(before) else (0, 0, 0)
                for named in _named(entry):
                    added = used.setdefault(named, Counter())
                    added.update(dict(enumerate(_minus(entry.counts, known))))
            writes, checks = await self._adding(used, file.name[: len("20261126")])
            writes.append(Put(key, encode(FoldedRecord(counts=counts))))
            writes += [
                Add(project_scope(name) + figure.encode(), added[index])
                for (kind, name), added in used.items()
                if kind == "P"
                for index, figure in enumerate(PASSED)
            ]
            await self._meta.commit(writes, [*checks, Unchanged(key, row)])
        if not is_written_to:  # nor was it when it was read
            await asyncio.to_thread(file.unlink)
        return sum(each[0] for each in counts) - sum(each[0] for each in before)

    async def _adding(
        self, used: dict[Named, Counter[int]], day: str
    ) -> tuple[list[Write], list[Check]]:
        keys = [usage_key(kind, name, day) for kind, name in used]
        writes, checks = list[Write](), list[Check]()
        rows = await self._meta.get_many(keys)
        for key, row, added in zip(keys, rows, used.values(), strict=True):
            now = self._used(key, row, writes)
            changed = replace(
                now,
                requests=now.requests + added[0],
                received=now.received + added[1],
                sent=now.sent + added[2],
            )
            writes.append(Put(key, encode(changed)))
            checks.append(Unchanged(key, row))
        return writes, checks

    def _used(self, key: bytes, row: bytes | None, writes: list[Write]) -> UsageRecord:
        """Return what a day's row says; one that is damaged is set aside, and begun anew."""
        used = None if row is None else self._damaged.read(UsageRecord, key, row)
        if row is not None and used is None:
            writes.append(write_aside(key, row))
        return used or UsageRecord()

    async def _forget(self, files: list[Path]) -> None:
        """Remove what is known of files that are gone."""
        known = {folded_key(file.name) for file in files}
        rows = await self._meta.scan(FOLDED, after_prefix(FOLDED), limit=SCOPES_PER_STEP)
        gone = [key for key, _ in rows if key not in known]
        if gone:
            await self._meta.commit([Delete(key) for key in gone])

    # --- what is held -------------------------------------------------------------------------

    async def _sample(self) -> tuple[int, bool]:
        """Count the next scopes for the hours that are over, up to the end of a day."""
        hour = self._clock.now_ms() // HOUR_MS
        row = await self._meta.get(SAMPLED)
        state = None if row is None else self._damaged.read(SampledRecord, SAMPLED, row)
        if state is None or state.hour - hour > _AHEAD_HOURS:
            begun = SampledRecord(hour=hour)
            await self._meta.commit([Put(SAMPLED, encode(begun))], [Unchanged(SAMPLED, row)])
            return 0, False
        if hour <= state.hour:
            return 0, False
        until = state.until or min(hour, (state.hour // 24 + 1) * 24)
        scopes, after = await self._scopes(state.after)
        day = metering.day_of(state.hour * HOUR_MS)
        writes, checks = await self._holding(scopes, day, until - state.hour)
        state = (
            SampledRecord(hour=state.hour, until=until, after=after)
            if after
            else SampledRecord(hour=until)
        )
        writes.append(Put(SAMPLED, encode(state)))
        await self._meta.commit(writes, [*checks, Unchanged(SAMPLED, row)])
        return len(scopes), bool(after) or until < hour

    async def _scopes(self, after: bytes) -> tuple[dict[Named, bytes], bytes]:
        """Return the next scopes by name, and where to go on; b"" after the last."""
        found: dict[Named, bytes] = {}
        start = after or records.BUCKET
        if start < after_prefix(records.BUCKET):
            rows = await self._meta.scan(start, after_prefix(records.BUCKET), limit=SCOPES_PER_STEP)
            for bucket in self._damaged.readable(BucketRecord, rows):
                found["B", bucket_name_of(bucket.account, bucket.name)] = bucket_scope(bucket.id)
            return found, rows[-1][0] + b"\0" if len(rows) == SCOPES_PER_STEP else TALLY
        while len(found) < SCOPES_PER_STEP:  # its counters follow each other: seek past them
            rows = await self._meta.scan(start, after_prefix(TALLY), limit=1)
            if not rows:
                return found, b""
            scope = rows[0][0][: rows[0][0].index(b"\0") + 1]
            kind: Kind = "P" if scope[1:2] == b"P" else "U"
            found[kind, scope[2:-1].decode()] = scope
            start = after_prefix(scope)
        return found, start

    async def _holding(
        self, scopes: dict[Named, bytes], day: str, hours: int
    ) -> tuple[list[Write], list[Check]]:
        writes, checks = list[Write](), list[Check]()
        keys = [usage_key(kind, name, day) for kind, name in scopes]
        rows = await self._meta.get_many(keys)
        for key, row, scope in zip(keys, rows, scopes.values(), strict=True):
            counters = await self._meta.get_many([scope + name.encode() for name in _HELD])
            live, old, parts, objects, older = map(decode_counter, counters)
            now = self._used(key, row, writes)
            changed = replace(
                now,
                hours=now.hours + hours,
                live_byte_hours=now.live_byte_hours + hours * live,
                old_byte_hours=now.old_byte_hours + hours * old,
                part_byte_hours=now.part_byte_hours + hours * parts,
                bytes=live + old + parts,
                objects=objects + older,
            )
            writes.append(Put(key, encode(changed)))
            checks.append(Unchanged(key, row))
        for (kind, name), scope in scopes.items():
            spent = await self._spent(kind, name, scope)
            writes += [Delete(counter) for counter, _ in spent]
            checks += [Unchanged(*counter) for counter in spent]
        return writes, checks

    async def _spent(self, kind: Kind, name: str, scope: bytes) -> Sequence[Row]:
        """Return the counters of who has nothing any more: who is gone would be counted for ever.

        Those who come back begin at 0 again. What has passed is told of projects that are there.
        """
        if kind == "B":  # its counters go with it
            return ()
        if kind == "P" and (
            name == DEFAULT_ACCOUNT or await self._meta.get(project_key(name)) is not None
        ):
            return ()
        rows = await self._meta.scan(scope, after_prefix(scope), limit=SCOPES_PER_STEP)
        passed = {scope + figure.encode() for figure in PASSED}
        return (
            rows if not any(decode_counter(row) for key, row in rows if key not in passed) else ()
        )


def _named(entry: metering.Entry) -> list[Named]:
    """Return whose use a count is."""
    found: list[Named] = []
    if entry.project:
        found.append(("P", entry.project))
    if entry.user:
        found.append(("U", entry.user))
    if entry.bucket:
        found.append(("B", bucket_name_of(entry.project, entry.bucket)))
    return found


def _minus(counts: Counts, before: Counts) -> Counts:
    return counts[0] - before[0], counts[1] - before[1], counts[2] - before[2]
