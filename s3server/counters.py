"""Counts requests in files that all processes of a machine can read, for the price of additions.

Each worker slot has a file in the run directory, mapped into memory, in which one worker at a time
counts; whoever wants to know adds the files up. Counts outlive workers and servers, and only rise.

    header   32 KiB   JSON of `Layout`, padded with blanks
    cells    u64 in native byte order: for each operation
               counts by status and by time taken: bucket i is of less than 256 us * 2**i
               sums: microseconds, bytes received, bytes sent
             then one count per error code

A file with another header, that of another version for one, is begun anew.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import structlog

HEADER_BYTES = 32 << 10
STATUSES = (
    200, 201, 204, 206, 301, 302, 303, 304, 307, 400, 401, 403, 404, 405, 409, 411, 412, 413, 416,
    431, 500, 501, 503, 507,
)  # fmt: skip
BUCKETS = 20  # of time; the last one has no end
BOUNDS_S = tuple((256 << index) / 1e6 for index in range(BUCKETS - 1))
OTHER = "other"  # operations, statuses and codes without a place of their own
SUFFIX = ".counts"

_LAST = BUCKETS - 1
_SUMS = 3

_log = structlog.get_logger("counters")


class Layout(msgspec.Struct, frozen=True):
    """Where what is counted."""

    operations: tuple[str, ...]
    codes: tuple[str, ...]
    statuses: tuple[int, ...] = STATUSES
    buckets: int = BUCKETS

    @property
    def row_cells(self) -> int:
        """Cells of one operation; behind the statuses is a row of buckets for all others."""
        return (len(self.statuses) + 1) * self.buckets + _SUMS

    @property
    def cells(self) -> int:
        """Cells in all."""
        return len(self.operations) * self.row_cells + len(self.codes)


class Counts(msgspec.Struct):
    """What was counted of one operation, by all workers."""

    by_status: dict[str, list[int]]  # for each, by time taken
    taken_us: int = 0
    received: int = 0
    sent: int = 0

    def buckets(self) -> list[int]:
        """Return the counts by time taken, whatever the status."""
        return [sum(counts) for counts in zip(*self.by_status.values(), strict=True)]


def run_directory(meta_dir: Path) -> Path:
    """Return where the processes of a store keep what others on the machine look at."""
    return meta_dir.with_name(meta_dir.name + ".run")


def layout_of(operations: Iterable[str], codes: Iterable[str]) -> Layout:
    """Return the layout for these operations and error codes, and for others."""
    return Layout((*sorted(set(operations)), OTHER), (*sorted(set(codes)), OTHER))


class Counters:
    """What one worker counts with."""

    def __init__(self, directory: Path | None, slot: int, layout: Layout) -> None:
        """Go on with the slot's file, or begin it; without one, on a full disk, in memory."""
        self._rows = {name: at * layout.row_cells for at, name in enumerate(layout.operations)}
        self._statuses = {status: at * BUCKETS for at, status in enumerate(layout.statuses)}
        first = len(layout.operations) * layout.row_cells
        self._codes = {code: first + at for at, code in enumerate(layout.codes)}
        self._sums = layout.row_cells - _SUMS
        self._map = mmap.mmap(-1, HEADER_BYTES + layout.cells * 8)
        if directory is not None:
            try:
                self._map = _mapped(directory / f"{slot}{SUFFIX}", layout)
            except OSError as error:
                _log.warning("requests are counted in memory only", error=str(error))
        self._cells = memoryview(self._map).cast("Q")[HEADER_BYTES // 8 :]

    def row(self, operation: str) -> int:
        """Return where an operation is counted."""
        return self._rows.get(operation, self._rows[OTHER])

    def status(self, status: int) -> int:
        """Return where a status is counted, within the operation's cells."""
        return self._statuses.get(status, len(self._statuses) * BUCKETS)

    def add(self, row: int, status: int, taken_us: int, received: int, sent: int) -> None:
        """Count a request; `row` and `status` are places."""
        bucket = (taken_us >> 8).bit_length()
        cells, sums = self._cells, row + self._sums
        cells[row + status + (min(_LAST, bucket))] += 1
        cells[sums] += taken_us
        if received:
            cells[sums + 1] += received
        cells[sums + 2] += sent

    def add_error(self, code: str) -> None:
        """Count an error code."""
        self._cells[self._codes.get(code, self._codes[OTHER])] += 1


def _mapped(file: Path, layout: Layout) -> mmap.mmap:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    header = msgspec.json.encode(layout).ljust(HEADER_BYTES)
    size = HEADER_BYTES + layout.cells * 8
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size != size or os.pread(descriptor, len(header), 0) != header:
            os.ftruncate(descriptor, 0)
            os.posix_fallocate(descriptor, 0, size)  # a hole could not be filled on a full disk
            os.pwrite(descriptor, header, 0)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def read_counts(directory: Path) -> tuple[dict[str, Counts], Counter[str]]:
    """Return what all workers counted: of each operation that there was, and of error codes."""
    found: dict[str, Counts] = {}
    codes: Counter[str] = Counter()
    for file in sorted(directory.glob(f"*{SUFFIX}")):
        content = file.read_bytes()
        try:
            layout = msgspec.json.decode(content[:HEADER_BYTES].rstrip(), type=Layout)
        except msgspec.DecodeError:
            continue  # its worker is just beginning it
        if len(content) != HEADER_BYTES + layout.cells * 8:
            continue
        cells = memoryview(content)[HEADER_BYTES:].cast("Q")
        for name, row in _rows_of(layout, cells):
            _add(found.setdefault(name, Counts({})), layout, row)
        counted = cells[len(layout.operations) * layout.row_cells :].tolist()
        codes.update({code: n for code, n in zip(layout.codes, counted, strict=True) if n})
    return found, codes


def _rows_of(layout: Layout, cells: memoryview) -> Iterator[tuple[str, list[int]]]:
    nothing = bytes(layout.row_cells * 8)
    for at, name in enumerate(layout.operations):
        row = cells[at * layout.row_cells : (at + 1) * layout.row_cells]
        if row.tobytes() != nothing:
            yield name, row.tolist()


def _add(counts: Counts, layout: Layout, row: list[int]) -> None:
    names = [*map(str, layout.statuses), OTHER]
    for at, status in enumerate(names):
        buckets = row[at * layout.buckets : (at + 1) * layout.buckets]
        if any(buckets):
            known = counts.by_status.get(status, [0] * layout.buckets)
            counts.by_status[status] = [a + b for a, b in zip(known, buckets, strict=True)]
    taken_us, received, sent = row[-_SUMS:]
    counts.taken_us += taken_us
    counts.received += received
    counts.sent += sent
