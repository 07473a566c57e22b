"""Space held back for deletes: LMDB copies what it changes, so even a delete needs free space.

While the disk is full the ballast is released, its file is absent, and only commits that free
space are let through. Because that state is the file itself, all processes agree on it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from s3server.meta.base import Delete, Put, Write


class Ballast:
    """A file of really allocated bytes; size 0 holds nothing back.

    `was_released` is what the last look found; reading it costs no system call.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = str(path)
        self._size = size
        self.was_released = False

    def is_released(self) -> bool:
        """Look whether the disk was found full and the ballast is not back yet. About 2 us."""
        self.was_released = self._size > 0 and not os.path.exists(self._path)
        return self.was_released

    def release(self) -> None:
        """Give the space back to the file system. Idempotent."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self.was_released = self._size > 0

    def restore(self) -> None:
        """Allocate the ballast again where there is room for it, or for half of it.

        Half will do: on a disk that holds nothing but the metadata, pages freed inside LMDB's
        file never make room for the part that the deletes used up.
        """
        if not self.is_released():
            return
        for size in (self._size, self._size // 2):
            space = os.statvfs(os.path.dirname(self._path))
            if space.f_bavail * space.f_frsize > size and self._allocate(size):
                return

    def _allocate(self, size: int) -> bool:
        """Make the file, whole or not at all: one of no size would look like a ballast."""
        new = f"{self._path}.new"
        try:
            file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, size)
            finally:
                os.close(file)
            os.rename(new, self._path)
        except OSError:  # no space, no inode, no descriptor; or another process was faster
            with contextlib.suppress(OSError):
                os.unlink(new)
        return not self.is_released()


def frees_space(writes: Sequence[Write]) -> bool:
    """Return whether a commit may use the ballast: it deletes, and puts no more than it deletes.

    Counted in rows, not bytes, so that promoting an older version, or completing an upload,
    is let through as well. Garbage, events and counters that go with a delete do not count.
    """
    deletes = sum(isinstance(write, Delete) for write in writes)
    puts = sum(isinstance(write, Put) for write in writes)
    return deletes > 0 and puts <= deletes
