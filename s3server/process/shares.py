"""How many connections each worker has: a table in memory that all of them share.

The kernel wakes every worker for a connection and the fastest takes it, which on a busy machine is
often the same one; so a worker that is ahead of another leaves it a moment to come first.
"""

from __future__ import annotations

import mmap
import os

SLOTS = 512
ABSENT = -1  # no worker in this slot


class Shares:
    """The table, by the descriptor of its memory."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._counts = memoryview(mmap.mmap(descriptor, SLOTS * 4)).cast("i")

    @classmethod
    def create(cls) -> Shares:
        """Return a new table without workers."""
        descriptor = os.memfd_create("s3server-shares")
        os.ftruncate(descriptor, SLOTS * 4)
        shares = cls(descriptor)
        for slot in range(SLOTS):
            shares.put(slot, ABSENT)
        return shares

    def put(self, slot: int, count: int) -> None:
        """Say how many connections the worker in `slot` has."""
        self._counts[slot] = count

    def is_ahead(self, slot: int) -> bool:
        """Whether that worker has clearly more connections than another."""
        others = [count for count in self._counts.tolist() if count != ABSENT]
        least = min(others, default=0)
        return self._counts[slot] > least + 2 + least // 16
