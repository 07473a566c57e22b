"""Shard files: writing one, and reading verified bytes out of one. Format: layout.py."""

from __future__ import annotations

import contextlib
import errno
import mmap

from s3server.data.base import CorruptError, MissingError, UnavailableError
from s3server.data.layout import (
    BLOCK,
    CHECKSUMS_PER_PAGE,
    PAGE,
    Shard,
    block_checksums,
    checksum_in,
    is_table_page,
    pages_of_table,
    table_pages,
    trailer,
)
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OURS
from s3server.data.vfs import Handle

RESERVED = 128 << 20  # bytes ahead of what was written; most shards fit in whole
TABLE_PAGES = 8  # that a reader remembers: each covers 64 MiB


class ShardFileWriter:
    """One shard file on its way. Methods block and raise OSError; one thread at a time."""

    def __init__(self, osd: DirectoryOsd, shard: Shard, *, replaces: bool = False) -> None:
        """Prepare; `replaces`: a file that lies at the shard's place gives way at commit()."""
        self.osd = osd
        self._shard = shard
        self._replaces = replaces
        self._handle: Handle | None = None
        self._end = self._reserved = 0
        self._checksums: list[int] = []

    @property
    def index(self) -> int:
        """Which shard of the blob it is."""
        return self._shard.index

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written yet, so that the shard may begin on another OSD."""
        return self._end == 0

    def open(self) -> None:
        """Create the file in incoming/, locked, with space reserved for its beginning.

        Nothing happens where it is open.
        """
        if self._handle is not None:
            return
        self.osd.confirm()
        vfs = self.osd.vfs
        path = self.osd.incoming_path(self._shard.file_name)
        self._handle = Handle(vfs, vfs.create(path, direct=True))
        vfs.lock(self._handle.fd)
        self.osd.make_place(self._shard)
        self._reserve(0)

    def write(self, data: memoryview, checksums: list[int]) -> None:
        """Append `data`, page-aligned in memory, with the checksums of its blocks.

        All but the last call bring whole blocks, the last one whole pages.
        """
        self._write(data)
        self._checksums += checksums

    def commit(self) -> None:
        """Write table and trailer, make the file durable and give it its place, durably."""
        assert self._end == self._shard.padded
        end = self._shard.file_size - self._end
        with mmap.mmap(-1, end) as buffer:
            for page in table_pages(self._shard, self._checksums):
                buffer.write(page)
            buffer.write(trailer(self._shard))
            with memoryview(buffer) as view:
                self._write(view)
        assert self._handle is not None
        self.osd.vfs.fdatasync(self._handle.fd)
        publish = self.osd.replace_shard if self._replaces else self.osd.publish_shard
        publish(self._shard)
        self._handle = None

    def remove(self) -> None:
        """Remove the file, wherever it is by now; what an OSD refuses is left to the sweep.

        One that replaces another is removed only while it is unfinished: at its place lies it, or
        the other, of which parts may still be read.
        """
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self.osd.vfs.unlink(self.osd.incoming_path(self._shard.file_name))
        self._handle = None
        if not self._replaces:
            with contextlib.suppress(OSError):
                self.osd.remove_shard(self._shard.blob, self._shard.index)

    def _reserve(self, end: int) -> None:
        """Reserve the space up to `end` and RESERVED beyond, at most that of the whole file.

        Never all of a large one: its length is only a promise until its bytes have come.
        """
        assert self._handle is not None
        self._reserved = min(end + RESERVED, self._shard.file_size)
        self.osd.vfs.allocate(self._handle.fd, self._reserved)

    def _write(self, data: memoryview) -> None:
        assert self._handle is not None
        if self._end + len(data) > self._reserved:
            self._reserve(self._end + len(data))
        written = self.osd.vfs.pwrite(self._handle.fd, data, self._end)
        if written != len(data):  # the kernel cuts writes short only when space runs out
            raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes written")
        self._end += written


class ShardFileReader:
    """An open shard file. The trailer is verified before the first byte is believed.

    All methods but read_cached() block. They raise MissingError (it cannot be read), CorruptError
    (it is not what it should be), or UnavailableError (this process is out of descriptors or
    memory). Thread-safe: what one thread verified serves the others.
    """

    def __init__(self, osd: DirectoryOsd, shard: Shard) -> None:
        """Open the file, so that nobody's unlink can take it away any more."""
        self.osd = osd
        self._vfs = osd.vfs
        self._shard = shard
        self._path = osd.shard_path(shard.blob, shard.index)
        self._is_ours = False
        self._table: dict[int, bytes] = {}
        try:
            self._handle = Handle(self._vfs, self._vfs.open(self._path))
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """Return bytes [start, stop) of the shard, every touched block of it verified."""
        self.verify_trailer()
        begin, end = self._blocks(start, stop)
        data = self._pread(end - begin, begin)
        self._verify_blocks(data, begin)
        if len(data) == stop - start:
            return data
        return memoryview(data)[start - begin : stop - begin]

    def read_cached(self, start: int, stop: int) -> memoryview | None:
        """Do the same where that needs no waiting for a disk, else return None."""
        begin, end = self._blocks(start, stop)
        edges = begin // BLOCK, (end - 1) // BLOCK
        if not self._is_ours or any(at // CHECKSUMS_PER_PAGE not in self._table for at in edges):
            return None  # short spans touch no page of the table between these
        data = bytearray(end - begin)
        try:
            if self._vfs.pread_cached(self._handle.fd, data, begin) != len(data):
                return None
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self._verify_blocks(data, begin)
        return memoryview(data)[start - begin : stop - begin]

    def _blocks(self, start: int, stop: int) -> tuple[int, int]:
        """Return where the blocks begin and end that hold bytes [start, stop)."""
        return start // BLOCK * BLOCK, min(-(-stop // BLOCK) * BLOCK, self._shard.padded)

    def _verify_blocks(self, data: bytes | bytearray, begin: int) -> None:
        for number, found in enumerate(block_checksums(memoryview(data)), begin // BLOCK):
            if found != self._checksum(number):
                raise CorruptError(f"{self._path}: block {number} fails its checksum")

    def verify(self) -> None:
        """Read and verify the whole file."""
        step = 16 * BLOCK
        for at in range(0, self._shard.size, step):
            self.read(at, min(at + step, self._shard.size))

    def verify_trailer(self) -> None:
        """Verify size and trailer: whether the file is there, and this shard."""
        if self._is_ours:
            return
        try:
            size = self._vfs.stat(self._handle.fd).st_size
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if size != self._shard.file_size:
            raise CorruptError(f"{self._path}: {size} bytes instead of {self._shard.file_size}")
        if self._pread(PAGE, self._shard.trailer_offset) != trailer(self._shard):
            raise CorruptError(f"{self._path}: the trailer is not that of this shard")
        self._is_ours = True

    def _checksum(self, block: int) -> int:
        number, place = divmod(block, CHECKSUMS_PER_PAGE)
        page = self._table.get(number)
        if page is None:
            assert number < pages_of_table(self._shard.size)
            page = self._pread(PAGE, self._shard.padded + number * PAGE)
            if not is_table_page(self._shard, number, page):
                raise CorruptError(f"{self._path}: page {number} of the table fails its checksum")
            kept = list(self._table.items())[1 - TABLE_PAGES :]
            self._table = {**dict(kept), number: page}  # replaced, as other threads read it
        return checksum_in(page, place)

    def _pread(self, size: int, offset: int) -> bytes:
        try:
            data = self._vfs.pread(self._handle.fd, size, offset)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if len(data) != size:
            raise CorruptError(f"{self._path}: ends at {offset + len(data)}")
        return data


def _unreadable(path: str, error: OSError) -> MissingError | UnavailableError:
    kind = UnavailableError if error.errno in OURS else MissingError
    return kind(f"{path}: {error.strerror}")
