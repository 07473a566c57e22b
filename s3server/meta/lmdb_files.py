"""How an LMDB environment comes into being, and how it is opened.

LMDB does not create its files atomically: a crash in the first milliseconds leaves a file that
it refuses. So they are made in a directory beside the final one, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from errno import EACCES
from pathlib import Path

import lmdb

from s3server.meta.base import UnavailableError
from s3server.meta.durable import sync_path

ROWS = b"rows"  # the sub-database with the callers' keys
SEQUENCE = b"sequence"  # key in the main database: number of the last commit, 8 bytes
JOURNAL = b"journal"  # likewise: journal_format.End, as msgpack; absent: the store has no journal

_AHEAD = bytes(1 << 20)
_LEAST_AHEAD = 256 << 10  # bytes

_KEY_BYTES = 1_978  # LMDB 1.0 with pages of 4 KiB; format 0.9 stops at 511


def open_environment(path: Path, *, map_size: int, max_readers: int) -> lmdb.Environment:
    """Open the environment in the directory `path`, creating it where nothing is there.

    Several processes may do so at once. The parent directory must exist.
    Raises UnavailableError where the files cannot be used, OSError from the file system.
    """
    with _locked(path.with_name(path.name + ".lock")):
        try:
            if not (path / "data.mdb").exists():
                _create(path, map_size=map_size, max_readers=max_readers)
            env = _open(path, map_size=map_size, max_readers=max_readers)
        except lmdb.InvalidError as error:
            raise UnavailableError(
                f"{path / 'data.mdb'} is no file of LMDB 1.0; those of 0.9 cannot be used"
            ) from error
        except lmdb.Error as error:
            for file in (path / "data.mdb", path / "lock.mdb"):  # LMDB does not say which one
                if "Permission denied" in str(error) and not os.access(file, os.R_OK | os.W_OK):
                    raise PermissionError(EACCES, os.strerror(EACCES), str(file)) from error
            raise UnavailableError(f"cannot open {path}: {error}") from error
    if env.lib_version()[0] != 1 or env.max_key_size() < _KEY_BYTES:
        found = f"LMDB {env.lib_version()} with keys of {env.max_key_size()} bytes"
        env.close()
        raise UnavailableError(f"{path} is of {found}; 1.0 with {_KEY_BYTES} bytes is needed")
    return env


class Growth:
    """Grows LMDB's file ahead of need, by zeros, so that commits overwrite what was written before.

    A commit that makes the file longer waits for a commit of the file system's own journal too.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
        self._size = 0

    def keep_ahead(self, used: int) -> None:
        """Call within a write transaction, with the bytes that LMDB uses of the file.

        LMDB's own sync makes the zeros durable. Where they cannot be written, for want of space or
        worse, LMDB finds out by itself.
        """
        if used + _LEAST_AHEAD <= self._size:
            return
        with contextlib.suppress(OSError):
            self._size = os.fstat(self._fd).st_size  # another process may have been here
            if used + _LEAST_AHEAD > self._size:
                self._size += os.pwrite(self._fd, _AHEAD, self._size)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close


def _open(path: Path, *, map_size: int, max_readers: int) -> lmdb.Environment:
    # writemap would end in SIGBUS on a full disk; sync and metasync make a commit durable
    return lmdb.open(
        str(path),
        lib_version=1,
        map_size=map_size,
        max_readers=max_readers,
        max_dbs=1,
        max_spare_txns=1,  # py-lmdb resets and renews one read transaction: a third off each get
        sync=True,
        metasync=True,
        writemap=False,
        meminit=False,
        readahead=False,
        create=False,
        mode=0o600,
    )


def _create(path: Path, *, map_size: int, max_readers: int) -> None:
    new = path.with_name(path.name + ".new")
    if new.exists():
        shutil.rmtree(new)  # of a process that died here; the lock says that none is alive
    new.mkdir(mode=0o700)
    env = _open(new, map_size=map_size, max_readers=max_readers)
    try:
        env.open_db(ROWS)
        with env.begin(write=True) as txn:
            txn.put(SEQUENCE, bytes(8))
    finally:
        env.close()
    _allocate(new / "lock.mdb")
    for made in (new / "data.mdb", new / "lock.mdb", new):
        sync_path(made)
    try:
        new.rename(path)
    except OSError as error:
        raise UnavailableError(
            f"{path} has no data.mdb and cannot be created: it is not an empty directory"
        ) from error
    sync_path(path.parent)


def _allocate(path: Path) -> None:
    """Fill the holes of the reader table, which is mapped: touching one on a full disk kills."""
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
