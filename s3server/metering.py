"""Counts requests and traffic in files that outlive the process, for the price of an addition.

Each worker has a file of its own, mapped into memory: what is counted is in the page cache at once
and survives kill -9 of all processes; the end of the machine's power may cost the last half minute.
A file belongs to one day (UTC), and holds an entry for each bucket and user that were seen:

    entry   160 bytes   "project user bucket", in ASCII, padded with NUL
              3 x u64   requests, bytes received, bytes sent; native byte order

The counts of an entry only rise. Whoever folds them away remembers up to which (jobs/usage.py). A
file whose lock (flock) is free is no longer written to.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import structlog

KEY_BYTES = 160
ENTRY_BYTES = KEY_BYTES + 24
ENTRIES = 1_024  # of a file; a worker that needs more begins another one
FILE_BYTES = ENTRIES * ENTRY_BYTES
SUFFIX = ".counts"

_CELLS = ENTRY_BYTES // 8
_FIRST = KEY_BYTES // 8

_log = structlog.get_logger("metering")


Whose = tuple[str, str, str]  # project, user, bucket; "" where there is none


class Entry(NamedTuple):
    """What one worker counted of one user in one bucket; "" where there was none."""

    project: str
    user: str
    bucket: str
    counts: tuple[int, int, int]  # requests, bytes received, bytes sent


def directory_of(meta_dir: Path) -> Path:
    """Return where the files of a store lie."""
    return meta_dir.with_name(meta_dir.name + ".usage")


def day_of(now_ms: int) -> str:
    """Return a day as its files and rows are named: 20261126."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%d")


class Meter:
    """What a worker counts with."""

    def __init__(self, directory: Path) -> None:
        """Call turn() before the first count, and every second."""
        self._directory, self._day = directory, ""
        self._places: dict[Whose, int] = {}
        self._file: int | None = None
        self._is_told = False  # that there is no file
        self._map = mmap.mmap(-1, FILE_BYTES)
        self._cells = memoryview(self._map).cast("Q")

    def count(self, whose: Whose, received: int, sent: int, requests: int = 1) -> None:
        """Count a request, or more of its traffic."""
        at = self._places.get(whose)
        if at is None:
            at = self._place(whose)
        cells = self._cells
        cells[at] += requests
        cells[at + 1] += received
        cells[at + 2] += sent

    def turn(self, now_ms: int) -> None:
        """Begin the file of a new day."""
        day = day_of(now_ms)
        if day != self._day or self._file is None:
            self._day = day
            self._begin()

    def close(self) -> None:
        """Leave the file to whoever folds it; what is counted from now on is not in it."""
        self._use(mmap.mmap(-1, FILE_BYTES))
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _use(self, mapped: mmap.mmap) -> None:
        self._places = {}
        self._cells.release()
        self._map.close()  # it has a descriptor of its own, which holds the lock
        self._map, self._cells = mapped, memoryview(mapped).cast("Q")

    def _place(self, whose: Whose) -> int:
        if len(self._places) == ENTRIES:
            self._begin()
        index = len(self._places)
        key = " ".join(whose).encode()[:KEY_BYTES]
        self._map[index * ENTRY_BYTES : index * ENTRY_BYTES + len(key)] = key
        at = self._places[whose] = index * _CELLS + _FIRST
        return at

    def _begin(self) -> None:
        """Go on in a new file; without one, on a full disk for instance, in memory."""
        self.close()
        try:
            self._file, mapped = self._new_file()
        except OSError as error:
            if not self._is_told:  # it is tried every second
                _log.warning("traffic is not counted durably", error=str(error))
            self._is_told = True
        else:
            self._use(mapped)
            if self._is_told:
                _log.info("traffic is counted durably again")
            self._is_told = False

    def _new_file(self) -> tuple[int, mmap.mmap]:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        file = self._directory / f"{self._day}-{os.urandom(8).hex()}{SUFFIX}"
        new = file.with_suffix(".new")  # nobody folds it before it is locked
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.posix_fallocate(descriptor, 0, FILE_BYTES)  # a hole could not be filled later
            mapped = mmap.mmap(descriptor, FILE_BYTES)
            new.rename(file)
        except OSError:
            os.close(descriptor)
            new.unlink(missing_ok=True)
            raise
        return descriptor, mapped


def files_of(directory: Path) -> list[Path]:
    """Return the files there are, in the order of their days."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def is_written_to(file: Path) -> bool:
    """Return whether a worker still counts in a file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_file(file: Path) -> Iterator[Entry]:
    """Yield the entries of a file, in the order in which they began."""
    content = file.read_bytes()
    for start in range(0, len(content) - ENTRY_BYTES + 1, ENTRY_BYTES):
        key = content[start : start + KEY_BYTES].rstrip(b"\0").decode()
        if not key:
            return
        project, user, bucket = key.split(" ")
        cells = memoryview(content)[start + KEY_BYTES : start + ENTRY_BYTES].cast("Q")
        yield Entry(project, user, bucket, (cells[0], cells[1], cells[2]))
