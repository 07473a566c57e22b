"""The system calls of the data layer, and the only module that makes them.

Every other module of `s3server.data` is given a `Vfs`, so that a test can put one in its place
that fails, loses or tears what it is asked to do. Nothing here retries: a failed fsync may
succeed the second time although the bytes are gone (Rebello et al., USENIX ATC 2020).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Sequence

Buffer = bytes | bytearray | memoryview

FIRST_AHEAD, MOST_AHEAD = 64 << 10, 512 << 10  # bytes; powers of two
_ZEROS = memoryview(bytes(MOST_AHEAD))

_NOT_NOW = frozenset({errno.EAGAIN, errno.EOPNOTSUPP})
_NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Vfs:
    """Linux files. Every method raises OSError; paths are absolute, offsets and sizes in bytes."""

    def create(self, path: str, *, direct: bool = False) -> int:
        """Create a file that must not exist, for reading and writing; return its descriptor.

        `direct` bypasses the page cache where the file system can (O_DIRECT): then buffers,
        offsets and lengths are multiples of 4096.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        if direct:
            try:
                return os.open(path, flags | os.O_DIRECT, 0o640)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                with contextlib.suppress(FileNotFoundError):  # some systems create, then refuse
                    os.unlink(path)
        return os.open(path, flags, 0o640)

    def open(self, path: str) -> int:
        """Open a file or directory for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_to_write(self, path: str) -> int:
        """Open a file that is there for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes; fewer only at the end of the file."""
        return os.pread(fd, size, offset)

    def pread_cached(self, fd: int, buffer: bytearray, offset: int) -> int:
        """Fill `buffer` from the page cache and return the count; less than asked: not cached."""
        try:
            return os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in _NOT_NOW:
                return 0
            raise

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def append_durably(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Write up to 1023 buffers, one after the other, at the end of what was appended so far.

        They are durable after. Returns how many bytes of them were written: fewer where space
        ran out. A write that enters a new stretch of the file fills the rest of it with zeros, as
        one that overwrites is durable without a commit of the file system's own journal.
        """
        end = offset + sum(map(len, buffers))
        ahead = _written_ahead(end) - end if end > _written_ahead(offset) else 0
        written = os.pwritev(fd, [*buffers, _ZEROS[:ahead]], offset, os.RWF_DSYNC)
        return min(written, end - offset)

    def allocate(self, fd: int, size: int) -> None:
        """Reserve space, so that writing cannot run out of it; silent where that cannot be done."""
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in _NO_PREALLOCATION:
                raise

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file off; not durable: after a power cut the rest may be there again."""
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def lock(self, fd: int) -> bool:
        """Take the file's exclusive lock (flock) if it is free; held until `fd` is closed."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock_in_turn(self, fd: int) -> None:
        """Wait for the file's exclusive lock (flock); held until `fd` is closed."""
        fcntl.flock(fd, fcntl.LOCK_EX)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o750)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        return sorted(os.listdir(path))

    def stat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def usage(self, path: str) -> os.statvfs_result:
        return os.statvfs(path)


def _written_ahead(end: int) -> int:
    """Return where the zeros end that lie behind the first `end` bytes of a file of appends.

    It follows from `end` alone, so that several processes may append to a file in turn.
    """
    if end <= MOST_AHEAD:  # small files are at least half full
        return max(FIRST_AHEAD, 1 << (end - 1).bit_length()) if end else 0
    return -(-end // MOST_AHEAD) * MOST_AHEAD


class Handle:
    """An open file that is closed when its last user lets go of it.

    A thread that still reads keeps the descriptor's number from being given to another file.
    """

    __slots__ = ("_vfs", "fd")

    def __init__(self, vfs: Vfs, fd: int) -> None:
        self._vfs = vfs
        self.fd = fd

    def __del__(self) -> None:
        with contextlib.suppress(OSError):  # what counts was made durable before
            self._vfs.close(self.fd)


def sync_directory(vfs: Vfs, path: str) -> None:
    """Make the names in a directory durable."""
    handle = Handle(vfs, vfs.open(path))  # named: it closes when nobody holds it
    vfs.fsync(handle.fd)
