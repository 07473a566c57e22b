"""A Vfs of which any one call fails, and that sees who syncs a file again whose sync failed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from s3server.data.vfs import Vfs

SYNCS = ("fsync", "fdatasync", "append_durably")
# Calls that fail, apart from close(): that one is never asked whether it did.
METHODS = tuple(
    name for name, value in vars(Vfs).items() if callable(value) and not name.startswith("_")
)
SHORT = "short"  # instead of an errno: a write that ends half-way


class FaultyVfs(Vfs):
    """Counts the calls of each method; call number `at` of `method` fails with `code`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.synced_again: list[str] = []
        self.happened = False
        self._plan: tuple[str, int, int | str] | None = None
        self._suspect: set[int] = set()  # descriptors whose sync failed

    def fail(self, method: str, at: int, code: int | str) -> None:
        """Count from zero, and let this call fail."""
        self.calls.clear()
        self._plan = method, at, code

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in METHODS:
            return found
        return lambda *args, **options: self._call(name, found, args, options)

    def _call(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        self.calls[name] += 1
        is_now = self._plan is not None and self._plan[:2] == (name, self.calls[name])
        if name == "close":
            self._suspect.discard(args[0])
        elif name in SYNCS and args[0] in self._suspect:
            self.synced_again.append(name)
        if not is_now:
            return call(*args, **options)
        assert self._plan is not None
        self.happened = True
        code = self._plan[2]
        if name in SYNCS:
            self._suspect.add(args[0])
        if code == SHORT:
            return self._cut_short(name, call, args)
        if name == "close":
            call(*args)  # Linux closes it, whatever it says
        raise OSError(code, os.strerror(int(code)))

    def _cut_short(self, name: str, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        fd, data, offset = args
        if name == "pwrite":
            return call(fd, memoryview(data)[: len(data) // 2 // 4096 * 4096], offset)
        return call(fd, [b"".join(data)[:9]], offset)
