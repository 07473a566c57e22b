"""Snapshots of the whole store: writing one to OSDs, reading one out of the copies there are."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from s3server.meta import snapshot_format as layout
from s3server.meta.base import CorruptRecordError, Row, UnavailableError
from s3server.meta.journal_files import Candidate, OpenFile, Osd, sync_directory
from s3server.meta.journal_read import Copy, History
from s3server.meta.snapshot_format import BLOCK_BYTES, BLOCK_HEADER, HEADER, Snapshot

KEPT = 2

_log = structlog.get_logger("snapshot")


class View(Protocol):
    """The rows of a store after a commit, in the order of their keys; `LmdbView` is one."""

    @property
    def sequence(self) -> int: ...
    @property
    def chain(self) -> int: ...
    def rows(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[Row]: ...
    def get(self, key: bytes) -> bytes | None: ...
    def close(self) -> None: ...


class SnapshotWriter:
    """Writes one snapshot, block by block, on OSDs of distinct domains. Blocks; raises OSError.

    An OSD that fails is left out. Raises UnavailableError once fewer than `minimum` copies are
    left; then, and where it is closed before its end, nothing remains.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        rows: Iterator[Row],
        candidates: Sequence[Candidate],
        *,
        copies: int,
        minimum: int,
    ) -> None:
        self.snapshot = snapshot
        self.count = self.size = 0
        self._rows, self._minimum = rows, minimum
        self._header = layout.pack_header(snapshot)
        self._number = 0
        self._token = os.urandom(8).hex()
        self._files: dict[str, tuple[Osd, OpenFile]] = {}
        for candidate in candidates:
            if candidate.domain not in self._files and len(self._files) < copies:
                self._create(candidate)
        self._append(self._header)

    def step(self, blocks: int = 16) -> bool:
        """Write some blocks; return False once the snapshot is whole and durable."""
        for _ in range(blocks):
            rows = self._take()
            if rows:
                self._append(layout.pack_block(self._header, self._number, rows))
                self._number += 1
                self.count += len(rows)
            else:
                self._append(layout.pack_end(self._header, self._number, self.count))
                self._publish()
                return False
        return True

    def close(self) -> None:
        """Remove what is not whole."""
        for osd, _ in self._files.values():
            with suppress(OSError):
                osd.vfs.unlink(self._incoming(osd))
        self._files.clear()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return not self._files

    def _take(self) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for row in self._rows:
            rows.append(row)
            size += len(row[0]) + len(row[1])
            if size >= BLOCK_BYTES:
                break
        return rows

    def _create(self, candidate: Candidate) -> None:
        osd = candidate.osd
        try:
            self._files[candidate.domain] = (
                osd,
                OpenFile(osd.vfs, osd.vfs.create(self._incoming(osd))),
            )
        except OSError as error:
            _log.error("osd takes no snapshot", osd=osd.id, reason=str(error))

    def _append(self, data: bytes) -> None:
        for domain, (osd, file) in list(self._files.items()):
            try:
                _write(osd, file, data, self.size)
            except OSError as error:
                self._leave_out(domain, error)
        self._check()
        self.size += len(data)

    def _publish(self) -> None:
        for domain, (osd, file) in list(self._files.items()):
            try:
                osd.vfs.fsync(file.fd)
                path = f"{osd.path}/journal/{self.snapshot.name}"
                osd.vfs.rename(self._incoming(osd), path)
                sync_directory(osd.vfs, f"{osd.path}/journal")
            except OSError as error:
                self._leave_out(domain, error)
        self._check()

    def _check(self) -> None:
        if len(self._files) < self._minimum:
            self.close()
            raise UnavailableError(
                f"fewer than {self._minimum} copies of a snapshot can be written"
            )

    def _leave_out(self, domain: str, error: OSError) -> None:
        osd, _ = self._files.pop(domain)
        _log.error("snapshot copy failed", osd=osd.id, reason=str(error))
        with suppress(OSError):
            osd.vfs.unlink(self._incoming(osd))

    def _incoming(self, osd: Osd) -> str:
        return f"{osd.path}/incoming/{self.snapshot.name}.{self._token}"


class StoredSnapshot:
    """A snapshot as it lies on OSDs."""

    def __init__(self, snapshot: Snapshot, copies: list[Copy]) -> None:
        self.snapshot, self.copies = snapshot, copies
        self._header = layout.pack_header(snapshot)

    def rows(self) -> Iterator[Row]:
        """Yield all rows, each block from any copy in which it verifies.

        Raises CorruptRecordError where a block verifies in none.
        """
        offset, number, count = HEADER, 0, 0
        while True:
            found = self._block(offset, number)
            if isinstance(found, int):
                if found != count:
                    raise CorruptRecordError(f"{self.snapshot.name} has {count} of {found} rows")
                return
            rows, size = found
            yield from rows
            count, number, offset = count + len(rows), number + 1, offset + BLOCK_HEADER + size

    def size(self) -> int:
        """Return the length of the longest copy, bytes."""
        return max(copy.size() for copy in self.copies)

    def is_whole(self) -> bool:
        """Read all of it."""
        try:
            for _ in self.rows():
                pass
        except CorruptRecordError:
            return False
        return True

    def _block(self, offset: int, number: int) -> tuple[list[Row], int] | int:
        for copy in self.copies:
            found = copy.pread(BLOCK_HEADER, offset)
            block = layout.parse_block_header(self._header, found, number)
            if block is None:
                continue
            body = copy.pread(block.size, offset + BLOCK_HEADER)
            if block.is_last:
                count = layout.parse_count(block, body)
                if count is not None:
                    return count
            elif (rows := layout.parse_rows(block, body)) is not None:
                return rows, block.size
        raise CorruptRecordError(f"block {number} of {self.snapshot.name} is whole in no copy")


def stored_snapshots(osds: Sequence[Osd], cluster: str) -> list[StoredSnapshot]:
    """Return the snapshots of a cluster on some OSDs, the newest first; none is verified."""
    found: dict[Snapshot, list[Copy]] = {}
    for copy, name in _files(osds):
        snapshot = layout.parse_header(copy.pread(HEADER, 0))
        if snapshot is not None and snapshot.cluster == cluster and snapshot.name == name:
            found.setdefault(snapshot, []).append(copy)
    newest = sorted(found.items(), key=lambda item: item[0].sequence, reverse=True)
    return [StoredSnapshot(snapshot, copies) for snapshot, copies in newest]


def retire(osds: Sequence[Osd], cluster: str) -> int:
    """Remove all snapshots but the newest KEPT, and the segments that the oldest kept one covers.

    Returns how many files were removed. Raises OSError.
    """
    snapshots = stored_snapshots(osds, cluster)
    if len(snapshots) < KEPT:
        return 0
    oldest = snapshots[KEPT - 1].snapshot.sequence
    old = [copy for each in snapshots[KEPT:] for copy in each.copies]
    segments = History(osds, cluster).segments
    with_entries = [each.segment for each in segments if each.has_entries()]
    for found in segments:
        later = (each for each in with_entries if each.number > found.segment.number)
        following = next(later, None)
        if following is not None and following.base <= oldest:
            old += found.copies
    for copy in old:
        with contextlib.suppress(FileNotFoundError):
            copy.osd.vfs.unlink(copy.path)
    return len(old)


def _write(osd: Osd, file: OpenFile, data: bytes, offset: int) -> None:
    written = osd.vfs.pwrite(file.fd, data, offset)
    if written != len(data):  # the kernel cuts writes to files short only when space runs out
        raise OSError(errno.ENOSPC, f"{osd.path}: {written} of {len(data)} bytes written")


def _files(osds: Sequence[Osd]) -> Iterator[tuple[Copy, str]]:
    for osd in osds:
        with suppress(OSError):
            for name in osd.vfs.names(f"{osd.path}/journal"):
                if name.endswith(".snap"):
                    yield Copy(osd, f"{osd.path}/journal/{name}"), name
