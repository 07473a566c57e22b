"""Several commits become the changes of one transaction. Pure: it reads, it writes nothing.

A commit that fails leaves no trace in the changes, so the others of its batch are untouched;
64 additions to one counter become one write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from s3server.meta.base import (
    Add,
    Append,
    AtMost,
    Check,
    ConflictError,
    Empty,
    Put,
    Unchanged,
    Write,
    add_to_counter,
    add_up,
    sequence_suffix,
)


class Snapshot(Protocol):
    """The state before the transaction."""

    def get(self, key: bytes) -> bytes | None: ...

    def keys_from(self, start: bytes) -> Iterator[bytes]:
        """Yield the keys from `start` on, in order."""
        ...


class Fold:
    """What a transaction will change: `changes` maps keys to new values, None where deleted.

    `sequence` is the number of the last commit folded in.
    """

    def __init__(self, snapshot: Snapshot, sequence: int) -> None:
        self._snapshot = snapshot
        self._seen: dict[bytes, bytes | None] = {}  # a batch checks the same bucket time and again
        self.sequence = sequence
        self.changes: dict[bytes, bytes | None] = {}

    def commit(self, writes: Sequence[Write], checks: Sequence[Check]) -> int:
        """Fold one commit in, on top of the earlier ones; return its sequence number.

        Raises ConflictError or CorruptRecordError, and then nothing was folded in.
        """
        limits: list[AtMost] = []
        for check in checks:
            if isinstance(check, AtMost):
                limits.append(check)
            elif not self._holds(check):
                raise ConflictError(check)
        sequence = self.sequence + 1
        changes: dict[bytes, bytes | None] = {}
        appended = 0
        for write in writes:
            if isinstance(write, Put):
                changes[write.key] = write.value
            elif isinstance(write, Add):
                key = write.key
                stored = changes[key] if key in changes else self._get(key)
                changes[key] = add_to_counter(stored, write.delta)
            elif isinstance(write, Append):
                changes[write.prefix + sequence_suffix(sequence, appended)] = write.value
                appended += 1
            else:
                changes[write.key] = None
        for limit in limits:
            held = (changes[key] if key in changes else self._get(key) for key in limit.keys)
            if add_up(held) > limit.limit:
                raise ConflictError(limit)
        self.changes.update(changes)
        self.sequence = sequence
        return sequence

    def _get(self, key: bytes) -> bytes | None:
        if key in self.changes:
            return self.changes[key]
        if key not in self._seen:
            self._seen[key] = self._snapshot.get(key)
        return self._seen[key]

    def _holds(self, check: Unchanged | Empty) -> bool:
        if isinstance(check, Unchanged):
            return self._get(check.key) == check.value
        for key, value in self.changes.items():
            if value is not None and check.start <= key < check.stop:
                return False
        for key in self._snapshot.keys_from(check.start):
            if key >= check.stop:
                break
            if key not in self.changes:  # what the batch deleted is gone
                return False
        return True
