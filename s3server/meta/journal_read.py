"""Reading the journal out of whatever copies are there.

Copies of a segment are alike up to the last committed entry, so each entry is taken from any copy
in which it verifies. What lies in a copy behind the base of the next segment that has entries was
never committed: that segment was begun because this copy, or its OSD, had failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

from s3server.meta import journal_format as layout
from s3server.meta.journal_files import OpenFile, Osd
from s3server.meta.journal_format import ENTRY_HEADER, HEADER, End, Entry, Segment

NEVER = 1 << 63


class Copy:
    """One copy of a segment or snapshot, opened when it is first read."""

    def __init__(self, osd: Osd, path: str) -> None:
        self.osd, self.path = osd, path
        self._file: OpenFile | None = None

    def pread(self, size: int, offset: int) -> bytes:
        """Return bytes; fewer, or none, where they cannot be read."""
        try:
            return self.osd.vfs.pread(self._opened().fd, size, offset)
        except OSError:
            return b""

    def size(self) -> int:
        """Return the length of the file; 0 where it cannot be read."""
        try:
            return self.osd.vfs.stat(self._opened().fd).st_size
        except OSError:
            return 0

    def _opened(self) -> OpenFile:
        if self._file is None:
            self._file = OpenFile(self.osd.vfs, self.osd.vfs.open(self.path))
        return self._file


class Found:
    """A segment and its copies."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.copies: list[Copy] = []

    def entry(self, end: End, before: int) -> Entry | None:
        """Return the entry at `end`, from any copy that has it.

        Different ones can only be the last, written by processes that died before all copies had
        them and never committed; the one that others follow is the one that was.
        """
        candidates: dict[bytes, Entry] = {}
        for copy in self.copies:
            header = copy.pread(ENTRY_HEADER, end.offset)
            if header not in candidates and (
                body := layout.parse_entry_header(header, end, before)
            ):
                found = layout.parse_entry(
                    header, copy.pread(body[0], end.offset + ENTRY_HEADER), end
                )
                if found is not None:
                    candidates[header] = found
        if len(candidates) < 2:
            return next(iter(candidates.values()), None)
        return max(candidates.values(), key=self._reach)

    def has_entries(self) -> bool:
        return self.entry(layout.begin(self.segment), self.segment.base) is not None

    def reach(self, until: int) -> int:
        """Return the last commit, up to `until`, to which the entries lead without a gap."""
        end, at = layout.begin(self.segment), self.segment.base
        while (entry := self.entry(end, at)) and entry.last <= until:
            end, at = entry.end, entry.last
        return at

    def _reach(self, entry: Entry) -> int:
        following = self.entry(entry.end, entry.last)
        return entry.last if following is None else self._reach(following)


class History:
    """All segments of a cluster that lie on some OSDs, as they are now."""

    def __init__(self, osds: Sequence[Osd], cluster: str) -> None:
        """Look what is there. An OSD that cannot be read has nothing."""
        self.newest = 0  # highest number of a file, readable or not
        self.unreadable: list[str] = []
        found: dict[Segment, Found] = {}
        for osd in osds:
            for path, number in _segments(osd):
                self.newest = max(self.newest, number)
                copy = Copy(osd, path)
                segment = layout.parse_segment(copy.pread(HEADER, 0))
                if segment is None or segment.number != number or segment.cluster != cluster:
                    self.unreadable.append(path)
                else:
                    found.setdefault(segment, Found(segment)).copies.append(copy)
        self.segments = sorted(found.values(), key=lambda each: each.segment.number)

    def entries(self, sequence: int, chain: int, *, start: End | None = None) -> Iterator[Entry]:
        """Yield the entries that follow commit `sequence`, whose chain value is `chain`.

        `start` is where the first of them begins, if that is known. Ends where the next one is
        not to be found.
        """
        some = [each for each in self.segments if start is None or _is_from(each, start)]
        full = [each for each in some if (start and _is_at(each, start)) or each.has_entries()]
        for found, following in pairwise([*full, None]):
            assert found is not None
            limit = following.segment.base if following else NEVER
            end, at = layout.begin(found.segment), found.segment.base
            if start is not None and _is_at(found, start):
                end, at = start, sequence
            while at < limit and (entry := found.entry(end, at)) and entry.last <= limit:
                if at == sequence and end.chain == chain:
                    yield entry
                    sequence, chain = entry.last, entry.seal
                end, at = entry.end, entry.last


def _is_from(found: Found, start: End) -> bool:
    return found.segment.number > start.segment or _is_at(found, start)


def _is_at(found: Found, start: End) -> bool:
    return (found.segment.number, found.segment.salt) == (start.segment, start.salt)


def _segments(osd: Osd) -> Iterator[tuple[str, int]]:
    with suppress(OSError):
        for name in osd.vfs.names(f"{osd.path}/journal"):
            stem, _, suffix = name.partition(".")
            if suffix == "log":
                with suppress(ValueError):
                    yield f"{osd.path}/journal/{name}", int(stem, 16)
