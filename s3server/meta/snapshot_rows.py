"""The rows of LMDB's newest snapshot, each read once.

Most requests ask for the same few rows (bucket, quotas, keys), time and again. py-lmdb lets go of
the GIL for each, which threads that commit at that time take: on the event loop a row then took 10
to 50 µs instead of one. What is remembered is one snapshot's and forgotten with it: never stale.
"""

from __future__ import annotations

import lmdb

MOST_ROWS = 64
MOST_BYTES = 4_096  # of a value that is remembered


class SnapshotRows(dict[bytes, bytes | None]):
    """`rows[key]` is the value of a key in the snapshot of the transaction `txn`, or None."""

    __slots__ = ("snapshot", "txn")

    def __init__(self) -> None:
        super().__init__()
        self.snapshot = -1

    def see(self, txn: lmdb.Transaction[bytes]) -> None:
        """Read by this transaction from now on."""
        snapshot = txn.id()
        if snapshot != self.snapshot:
            self.clear()
            self.snapshot = snapshot
        self.txn = txn

    def __missing__(self, key: bytes) -> bytes | None:
        value = self.txn.get(key)
        if value is None or len(value) <= MOST_BYTES:
            if len(self) >= MOST_ROWS:
                self.clear()
            self[key] = value
        return value
