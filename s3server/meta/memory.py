"""The reference metadata engine: a dict and a sorted list of its keys, for tests.

It shares no code with the durable engines beyond `base`, so that comparing the two means
something.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import TypeVar

from s3server.meta.base import (
    Add,
    Append,
    AtMost,
    Check,
    ConflictError,
    Get,
    Put,
    Range,
    Row,
    Unchanged,
    Write,
    add_to_counter,
    add_up,
    check_key,
    check_keys,
    sequence_suffix,
)

T = TypeVar("T")


class MemoryStore:
    """A MetadataStore that forgets everything when the process ends."""

    is_full = False

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []  # of _values, sorted
        self._sequence = 0

    async def get(self, key: bytes) -> bytes | None:
        check_key(key)
        return self._values.get(key)

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        for key in keys:
            check_key(key)
        return [self._values.get(key) for key in keys]

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Row]:
        first, end = bisect_left(self._keys, start), bisect_left(self._keys, stop)
        if reverse:
            keys = self._keys[max(first, end - limit) : end][::-1]
        else:
            keys = self._keys[first : min(end, first + limit)]
        return [(key, self._values[key]) for key in keys]

    async def scan_many(self, ranges: Sequence[Range], *, limit: int) -> list[list[Row]]:
        return [await self.scan(start, stop, limit=limit) for start, stop in ranges]

    def look(self, read: Callable[[Get, Get], T]) -> T:
        return read(self._values.get, self._values.get)

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        check_keys(writes, checks)
        await asyncio.sleep(0)  # as in a real engine, others run before a commit takes place
        for check in checks:
            if not self._holds(check):
                raise ConflictError(check)
        sequence = self._sequence + 1
        changes = self._changes(writes, sequence)
        for check in checks:
            if isinstance(check, AtMost) and self._sum(check, changes) > check.limit:
                raise ConflictError(check)
        self._sequence = sequence
        for key, value in changes.items():
            self._set(key, value)
        await asyncio.sleep(0)  # ... and between the commit and the answer
        return sequence

    async def close(self) -> None:
        pass

    def _holds(self, check: Check) -> bool:
        if isinstance(check, AtMost):
            return True  # looked at once the writes are known
        if isinstance(check, Unchanged):
            return self._values.get(check.key) == check.value
        at = bisect_left(self._keys, check.start)
        return at == len(self._keys) or self._keys[at] >= check.stop

    def _sum(self, check: AtMost, changes: dict[bytes, bytes | None]) -> int:
        return add_up(changes.get(key, self._values.get(key)) for key in check.keys)

    def _changes(self, writes: Sequence[Write], sequence: int) -> dict[bytes, bytes | None]:
        changes: dict[bytes, bytes | None] = {}
        appended = 0
        for write in writes:
            if isinstance(write, Put):
                changes[write.key] = write.value
            elif isinstance(write, Add):
                stored = changes.get(write.key, self._values.get(write.key))
                changes[write.key] = add_to_counter(stored, write.delta)
            elif isinstance(write, Append):
                changes[write.prefix + sequence_suffix(sequence, appended)] = write.value
                appended += 1
            else:
                changes[write.key] = None
        return changes

    def _set(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            if self._values.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            return
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value
