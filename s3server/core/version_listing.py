"""Listing of versions: current and older ones lie in two tables, which are walked side by side.

Each step reads both from one snapshot and goes on in both from one place. A version that is there
all the time is therefore listed exactly once, whichever table it lies in when its place is passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec

from s3server.core import records
from s3server.core.folding import FIRST_SCAN_ROWS, MAX_SCAN_ROWS, Fold
from s3server.core.records import BucketRecord, ObjectRecord, decode
from s3server.meta.base import MetadataStore, Row, after_prefix

_SUFFIX_BYTES = 9  # NUL and sequence, at the end of an older version's name
_AFTER_KEY = b"\x01"  # no key has a NUL in it


class ListedVersion(msgspec.Struct, frozen=True, gc=False):
    """One version or delete marker in a listing."""

    key: str
    record: ObjectRecord
    is_latest: bool


@dataclass(slots=True)
class VersionPage:
    """One page of versions, by key and then from the newest to the oldest."""

    versions: list[ListedVersion] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    is_truncated: bool = False
    last_key: str = ""  # key of the last version, or the last common prefix
    last_sequence: int = 0  # 0 after a common prefix


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk goes on: at a name, or within a key behind one of its versions."""

    name: bytes
    sequence: int = 0  # of the version that was the last one; 0: before all of the key

    def has_passed(self, record: ObjectRecord) -> bool:
        """Return whether a version of the key of this name lies before this place."""
        return 0 < self.sequence <= record.sequence


class VersionWalk:
    """One page in the making."""

    def __init__(
        self, meta: MetadataStore, bucket: BucketRecord, fold: Fold, place: Place, limit: int
    ) -> None:
        self._meta, self._bucket, self._fold, self._limit = meta, bucket, fold, limit
        self._place = place
        self._page = VersionPage()
        self._latest_of = place.name if place.sequence else None

    async def page(self) -> VersionPage:
        """Return at most `limit` versions and common prefixes from the place on."""
        rows_wanted = FIRST_SCAN_ROWS if self._fold.delimiter else MAX_SCAN_ROWS
        has_more = self._limit > 0
        while has_more and not self._page.is_truncated:
            wanted = min(rows_wanted, self._room() + 2)  # one that was passed, one that is next
            current, older = await self._meta.scan_many(self._ranges(), limit=wanted)
            merged, end = _merge(self._names(current, 0), self._names(older, _SUFFIX_BYTES), wanted)
            has_more = end is not None
            if self._take(merged):
                has_more, rows_wanted = True, FIRST_SCAN_ROWS
            else:
                self._place = end or self._place
                rows_wanted = min(rows_wanted * 2, MAX_SCAN_ROWS)
        return self._page

    def _room(self) -> int:
        return self._limit - len(self._page.versions) - len(self._page.prefixes)

    def _ranges(self) -> list[tuple[bytes, bytes]]:
        """Return what is left of the tables of current and of older versions."""
        name = max(self._place.name, self._fold.prefix)
        older = name
        if self._place.sequence and name == self._place.name:
            key = records.version_key(b"", name.decode(), self._place.sequence)
            older = key.removeprefix(records.VERSION) + b"\0"
        found = []
        for table, start in ((records.OBJECT, name), (records.VERSION, older)):
            prefix = table + self._bucket.id
            found.append((prefix + start, after_prefix(prefix + self._fold.prefix)))
        return found

    def _names(self, rows: Iterable[Row], suffix: int) -> list[tuple[bytes, Row]]:
        skipped = 1 + len(self._bucket.id)
        return [(row[0][skipped : len(row[0]) - suffix], row) for row in rows]

    def _take(self, merged: Iterable[tuple[bytes, Row]]) -> bool:
        """Add to the page; return whether a common prefix was added, which is to be skipped."""
        page, place, room, latest_of = self._page, self._place, self._room(), self._latest_of
        for name, (row_key, row) in merged:
            common = self._fold.common_prefix(name)
            record = decode(ObjectRecord, row) if common is None else None
            if record is not None and name == place.name and place.has_passed(record):
                continue
            if not room:
                page.is_truncated = True
                return False
            room -= 1
            if common is not None:
                page.prefixes.append(common.decode())
                page.last_key, page.last_sequence = page.prefixes[-1], 0
                self._place = Place(after_prefix(common))
                return True
            assert record is not None
            key = name.decode()
            is_latest = name != latest_of or row_key.startswith(records.OBJECT)
            page.versions.append(ListedVersion(key, record, is_latest))
            page.last_key, page.last_sequence = key, record.sequence
            self._latest_of = latest_of = name
        return False


def _merge(
    current: list[tuple[bytes, Row]], older: list[tuple[bytes, Row]], wanted: int
) -> tuple[list[tuple[bytes, Row]], Place | None]:
    """Return rows of both in order as far as both are known, and where to go on; None: nowhere.

    The current version of a key comes before all others.
    """
    ends = [
        (rows[-1][0], index) for index, rows in enumerate((current, older)) if len(rows) == wanted
    ]
    merged = sorted(current + older, key=itemgetter(0))
    if not ends:
        return merged, None
    last, index = min(ends)
    if index == 0 and (last, 1) not in ends:
        end = Place(last + _AFTER_KEY)
    else:
        sequence = decode(ObjectRecord, older[-1][1][1]).sequence
        end = Place(last, sequence)
    return [each for each in merged if each[0] <= last], end
