"""A Vfs whose n-th call of one kind fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from s3server.data.vfs import Buffer, Vfs

WRITING = ("create", "pwrite", "append_durably", "allocate", "fsync", "fdatasync", "rename")


class FailingVfs(Vfs):
    """Counts the calls that write; from `fail(...)` on, call number `at` of a method fails.

    `code` is the errno; None stands for a write that ends short.
    """

    def __init__(self) -> None:
        self.calls: dict[str, int] = dict.fromkeys(WRITING, 0)
        self.appended: list[tuple[int, int]] = []  # descriptor's inode, offset
        self._plan: tuple[str, int, int | None] | None = None

    def fail(self, method: str, at: int, code: int | None) -> None:
        self.calls = dict.fromkeys(WRITING, 0)
        self._plan = (method, at, code)

    def heal(self) -> None:
        """Let every call succeed from now on, and count from zero."""
        self.calls = dict.fromkeys(WRITING, 0)
        self._plan = None

    def _count(self, method: str) -> bool:
        """Return whether this call is to end short; raises where it is to fail."""
        self.calls[method] += 1
        if self._plan is None or self._plan[:2] != (method, self.calls[method]):
            return False
        if self._plan[2] is None:
            return True
        raise OSError(self._plan[2], os.strerror(self._plan[2]))

    def create(self, path: str, *, direct: bool = False) -> int:
        self._count("create")
        return super().create(path, direct=direct)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        is_short = self._count("pwrite")
        return super().pwrite(fd, memoryview(data)[: len(data) // 2] if is_short else data, offset)

    def append_durably(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        self.appended.append((os.fstat(fd).st_ino, offset))
        is_short = self._count("append_durably")
        return super().append_durably(fd, [buffers[0][:7]] if is_short else buffers, offset)

    def allocate(self, fd: int, size: int) -> None:
        self._count("allocate")
        super().allocate(fd, size)

    def fsync(self, fd: int) -> None:
        self._count("fsync")
        super().fsync(fd)

    def fdatasync(self, fd: int) -> None:
        self._count("fdatasync")
        super().fdatasync(fd)

    def rename(self, source: str, target: str) -> None:
        self._count("rename")
        super().rename(source, target)


class NoDirectVfs(Vfs):
    """A file system that refuses O_DIRECT and preallocation, and has nothing in its cache."""

    def create(self, path: str, *, direct: bool = False) -> int:
        return super().create(path, direct=False)

    def allocate(self, fd: int, size: int) -> None:
        """As on a file system that cannot."""

    def pread_cached(self, fd: int, buffer: bytearray, offset: int) -> int:
        return 0


FAULTS: list[tuple[str, Any]] = [
    (method, code)
    for method in WRITING
    for code in (errno.EIO, errno.ENOSPC, errno.EROFS)
] + [("pwrite", None), ("append_durably", None)]  # fmt: skip
