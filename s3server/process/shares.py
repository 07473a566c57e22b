"""How many connections and requests each worker has: a table in memory that all of them share.

The kernel wakes every worker for a connection and the fastest takes it, which on a busy machine is
often the same one; so a worker that is ahead of another leaves it a moment to come first. What is
admitted at all (`admission.py`) depends on the sums.
"""

from __future__ import annotations

import mmap
import os

SLOTS = 512
ABSENT = -1  # no worker in this slot


class Shares:
    """The table, by the descriptor of its memory. Each slot is written by its worker alone."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        table = memoryview(mmap.mmap(descriptor, 2 * SLOTS * 4)).cast("i")
        self._counts, self._requests = table[:SLOTS], table[SLOTS:]
        self._live: tuple[int, ...] = ()

    @classmethod
    def create(cls) -> Shares:
        """Return a new table without workers."""
        descriptor = os.memfd_create("s3server-shares")
        os.ftruncate(descriptor, 2 * SLOTS * 4)
        shares = cls(descriptor)
        for slot in range(SLOTS):
            shares.remove(slot)
        return shares

    def put(self, slot: int, count: int) -> None:
        """Say how many connections the worker in `slot` has; see who else is there."""
        self._counts[slot] = count
        counts = self._counts.tolist()
        self._live = tuple(one for one, count in enumerate(counts) if count != ABSENT)

    def remove(self, slot: int) -> None:
        """Say that there is no worker in `slot`."""
        self._counts[slot], self._requests[slot] = ABSENT, 0

    def is_ahead(self, slot: int) -> bool:
        """Whether that worker has clearly more connections than another."""
        others = [count for count in self._counts.tolist() if count != ABSENT]
        least = min(others, default=0)
        return self._counts[slot] > least + 2 + least // 16

    def connections(self) -> int:
        """Return how many connections all workers have together."""
        return sum(count for count in self._counts.tolist() if count != ABSENT)

    def begin(self, slot: int) -> None:
        """Count a request that the worker in `slot` begins to serve."""
        self._requests[slot] += 1

    def end(self, slot: int) -> None:
        """Count one less."""
        self._requests[slot] -= 1

    def requests(self) -> int:
        """Return how many requests are in work, in all workers that `put` has seen."""
        requests = self._requests
        return sum([requests[slot] for slot in self._live])
