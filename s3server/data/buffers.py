"""Page-aligned buffers, as O_DIRECT wants them, used again instead of given back."""

from __future__ import annotations

import mmap
import threading

MIB = 1 << 20


class BufferPool:
    """Hands out anonymous memory maps; keeps at most `keep` bytes of returned ones.

    Thread-safe. A buffer's old contents stay in it: whoever takes it writes before reading.
    """

    def __init__(self, keep: int = 64 * MIB) -> None:
        self._keep = keep
        self._kept = 0
        self._free: dict[int, list[mmap.mmap]] = {}
        self._lock = threading.Lock()

    def take(self, size: int) -> mmap.mmap:
        """Return a buffer of exactly `size` bytes, aligned to a page."""
        with self._lock:
            if free := self._free.get(size):
                self._kept -= size
                return free.pop()
        return mmap.mmap(-1, size)

    def give(self, buffer: mmap.mmap) -> None:
        """Take a buffer back that nobody writes to any more."""
        size = len(buffer)
        with self._lock:
            if self._kept + size <= self._keep:
                self._kept += size
                self._free.setdefault(size, []).append(buffer)
