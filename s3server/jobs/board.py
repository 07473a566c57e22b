"""What the jobs do at present, in the store, so that every process can tell an operator.

A row per job, written together every few seconds where something changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from s3server.core.clock import Clock
from s3server.core.records import Record, decode, encode, store_key
from s3server.meta.base import FullError, MetadataStore, Put, after_prefix

JOB_PREFIX = store_key("job/")
WRITE_EVERY_MS = 2_000
IDLE_EVERY_MS = 60_000  # for a job that has nothing to do
_RATE_OVER_MS = 60_000


@dataclasses.dataclass(slots=True)
class Progress:
    """How far a job is in what it is about; `total` 0: it cannot tell."""

    done: int = 0
    total: int = 0
    unit: str = ""
    note: str = ""  # what an operator should know


@runtime_checkable
class HasProgress(Protocol):
    """A job that can tell how far it is."""

    progress: Progress


class JobRecord(Record, frozen=True, array_like=True, kw_only=True):
    """What one job did last."""

    name: str
    state: str  # "working", "idle", "failed"
    updated_ms: int
    since_ms: int = 0  # of the state
    done: int = 0
    total: int = 0
    unit: str = ""
    per_s: float = 0.0  # of the unit, over the last minute
    note: str = ""
    counts: tuple[tuple[str, int], ...] = ()  # what all steps did since the process began
    error: str = ""

    @property
    def eta_s(self) -> float | None:
        """Seconds until the work is done, at the present rate; None where that is not known."""
        if self.state != "working" or not self.per_s or self.total <= self.done:
            return None
        return (self.total - self.done) / self.per_s


class Board:
    """Collects what jobs do, and writes it."""

    def __init__(self, meta: MetadataStore, clock: Clock) -> None:
        self._meta, self._clock = meta, clock
        self._lines: dict[str, _Line] = {}
        self._written_ms = 0

    def note(self, job: object, name: str, result: object | None, error: str = "") -> None:
        """Take note of a step: what it returned, or why it failed."""
        line = self._lines.setdefault(name, _Line(name))
        progress = job.progress if isinstance(job, HasProgress) else Progress()
        line.note(progress, _counts(result), bool(getattr(result, "has_more", False)), error,
                  self._clock.now_ms())  # fmt: skip

    async def write(self) -> None:
        """Write the rows that changed, if it is time; on a full disk they stay as they are."""
        now = self._clock.now_ms()
        if 0 <= now - self._written_ms < WRITE_EVERY_MS:
            return
        due = [line for line in self._lines.values() if line.is_due(now)]
        if not due:
            return
        self._written_ms = now
        try:
            await self._meta.commit([Put(JOB_PREFIX + e.name.encode(), encode(e.record(now))) for e in due])  # fmt: skip # noqa: E501
        except FullError:
            return
        for line in due:
            line.written_ms = now


class _Line:
    """One job, as its steps tell of it."""

    def __init__(self, name: str) -> None:
        self.name, self.written_ms = name, 0
        self._state, self._since_ms, self._error = "idle", 0, ""
        self._progress, self._counts = Progress(), dict[str, int]()
        self._past: list[tuple[int, int]] = []  # (time, done)
        self._has_changed = False

    def note(
        self, progress: Progress, counts: Mapping[str, int], more: bool, error: str, now: int
    ) -> None:
        state = "failed" if error else "working" if more else "idle"
        if state != self._state or not self._since_ms:
            self._since_ms = now
        self._has_changed |= state != self._state or bool(counts) or error != self._error
        self._has_changed |= progress != self._progress
        self._state, self._error = state, error
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0) + count
        if progress.done < self._progress.done:  # it began anew
            self._past.clear()
        self._progress = dataclasses.replace(progress)
        self._past = [each for each in self._past if now - each[0] <= _RATE_OVER_MS]
        if not self._past or now - self._past[-1][0] >= 1_000:
            self._past.append((now, progress.done))

    def is_due(self, now: int) -> bool:
        return self._has_changed or not 0 <= now - self.written_ms < IDLE_EVERY_MS

    def record(self, now: int) -> JobRecord:
        self._has_changed = False
        progress = self._progress
        begin_ms, begin = self._past[0] if self._past else (now, 0)
        rate = (progress.done - begin) * 1000 / (now - begin_ms) if now > begin_ms else 0.0
        return JobRecord(
            name=self.name,
            state=self._state,
            updated_ms=now,
            since_ms=self._since_ms,
            done=progress.done,
            total=progress.total,
            unit=progress.unit,
            per_s=round(max(rate, 0.0), 3),
            note=progress.note,
            counts=tuple(sorted(self._counts.items())),
            error=self._error,
        )


def _counts(result: object | None) -> dict[str, int]:
    """Return the numbers of a step's result that are not 0."""
    if result is None or not dataclasses.is_dataclass(result):
        return {}
    found = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {name: n for name, n in found.items() if type(n) is int and n}


async def job_records(meta: MetadataStore) -> list[JobRecord]:
    """Return what the jobs did last, by name."""
    rows = await meta.scan(JOB_PREFIX, after_prefix(JOB_PREFIX), limit=1_000)
    return [decode(JobRecord, row) for _, row in rows]
