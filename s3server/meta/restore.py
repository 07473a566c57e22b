"""The state of the store as OSDs have it: the newest snapshot that is whole, and what followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s3server.meta.base import CorruptRecordError, Row
from s3server.meta.journal_files import Osd
from s3server.meta.journal_format import End
from s3server.meta.journal_read import History
from s3server.meta.snapshot import StoredSnapshot, stored_snapshots


@dataclass(frozen=True, slots=True)
class State:
    """All rows after commit `sequence`: those of a snapshot, changed by what the journal has."""

    snapshot: StoredSnapshot
    changes: dict[bytes, bytes | None]
    sequence: int
    chain: int
    newest_segment: int

    def rows(self) -> Iterator[Row]:
        """Yield all rows in the order of their keys. Raises CorruptRecordError."""
        changes = iter(sorted(self.changes.items()))
        change = next(changes, None)
        for key, value in self.snapshot.rows():
            while change is not None and change[0] < key:
                if change[1] is not None:
                    yield change[0], change[1]
                change = next(changes, None)
            if change is None or change[0] != key:
                yield key, value
        while change is not None:
            if change[1] is not None:
                yield change[0], change[1]
            change = next(changes, None)

    @property
    def end(self) -> End:
        """Where the journal of a store of this state ends: the next entry begins a segment."""
        return End(self.newest_segment, 0, 0, self.chain, b"", ())


def stored_state(osds: Sequence[Osd], cluster: str, *, until: int | None = None) -> State:
    """Return the last state that OSDs hold, or that after commit `until`.

    Holds the changes since the snapshot in memory. Raises CorruptRecordError where no snapshot is
    whole.
    """
    history = History(osds, cluster)
    for snapshot in stored_snapshots(osds, cluster):
        header = snapshot.snapshot
        if (until is not None and header.sequence > until) or not snapshot.is_whole():
            continue
        sequence, chain = header.sequence, header.chain
        changes: dict[bytes, bytes | None] = {}
        for entry in history.entries(sequence, chain):
            if until is not None and entry.last > until:
                break
            changes.update(entry.changes)
            sequence, chain = entry.last, entry.seal
        return State(snapshot, changes, sequence, chain, history.newest)
    raise CorruptRecordError("no snapshot of the metadata on these OSDs is whole")
