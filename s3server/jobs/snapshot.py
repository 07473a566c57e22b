"""Takes snapshots of the metadata, on schedule and as the journal grows; truncates journals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from s3server.core.clock import Clock
from s3server.meta.base import UnavailableError
from s3server.meta.journal import Journal
from s3server.meta.journal_read import History
from s3server.meta.snapshot import SnapshotWriter, StoredSnapshot, View, retire, stored_snapshots
from s3server.meta.snapshot_format import Snapshot

INTERVAL_MS = 24 * 3_600_000
JOURNAL_BYTES = 256 << 20  # beyond the size of the last snapshot

_log = structlog.get_logger("snapshot")


class Source(Protocol):
    """A store that has a journal."""

    @property
    def journal(self) -> Journal | None: ...

    def view(self) -> View: ...


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    rows: int = 0  # written so far
    has_more: bool = False


class Snapshots:
    """Snapshots of one store. A step writes some MiB; an unfinished snapshot is begun anew."""

    name = "snapshot"
    pause_s = 60.0

    def __init__(
        self,
        store: Source,
        *,
        clock: Clock,
        interval_ms: int = INTERVAL_MS,
        journal_bytes: int = JOURNAL_BYTES,
    ) -> None:
        self._store, self._clock = store, clock
        self._interval_ms, self._journal_bytes = interval_ms, journal_bytes
        self._writer: SnapshotWriter | None = None
        self._view: View | None = None

    async def step(self) -> Step:
        """Go on with a snapshot, or begin one if it is time. Raises OSError, UnavailableError."""
        return await asyncio.to_thread(self._step)

    async def take(self) -> Snapshot:
        """Take a snapshot now, to its end."""
        await asyncio.to_thread(self._begin)
        assert self._writer is not None
        snapshot = self._writer.snapshot
        while (await self.step()).has_more:
            pass
        return snapshot

    def _step(self) -> Step:
        if self._writer is None:
            if not self.is_due():
                return Step()
            self._begin()
        writer = self._writer
        assert writer is not None
        is_whole = False
        try:
            if writer.step():
                return Step(writer.count, has_more=True)
            is_whole = True
        finally:
            if is_whole or writer.is_closed:
                self._end()
        removed = retire(self._journal.osds, self._journal.cluster)
        _log.info(
            "snapshot taken", sequence=writer.snapshot.sequence, rows=writer.count, retired=removed
        )
        return Step(writer.count)

    def exist(self) -> bool:
        """Whether there is a snapshot; it is not read."""
        return bool(stored_snapshots(self._journal.osds, self._journal.cluster))

    def is_due(self) -> bool:
        """Whether there is no snapshot, or the last is old, or much was journalled since."""
        journal = self._journal
        newest = next(iter(stored_snapshots(journal.osds, journal.cluster)), None)
        if newest is None:
            return True
        view = self._store.view()
        view.close()
        header = newest.snapshot
        if view.sequence == header.sequence:
            return False
        age_ms = self._clock.now_ms() - header.taken_ms
        return not 0 <= age_ms < self._interval_ms or self._has_grown(newest)

    def _has_grown(self, newest: StoredSnapshot) -> bool:
        history = History(self._journal.osds, self._journal.cluster)
        size = sum(
            each.segment.size
            for each in history.segments
            if each.segment.base >= newest.snapshot.sequence
        )
        return size > self._journal_bytes + newest.size()

    def _begin(self) -> None:
        self._end()
        journal = self._journal
        view = self._view = self._store.view()
        header = Snapshot(journal.cluster, view.sequence, view.chain, self._clock.now_ms())
        self._writer = SnapshotWriter(
            header,
            view.rows(),
            journal.candidates,
            copies=journal.copies,
            minimum=journal.minimum,
        )

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._view is not None:
            self._view.close()
        self._writer = self._view = None

    @property
    def _journal(self) -> Journal:
        if self._store.journal is None:
            raise UnavailableError("the store has no journal")
        return self._store.journal
