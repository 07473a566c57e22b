"""Listings: walks over key order that skip what a delimiter folds together.

A listing reads metadata only. Within one page it reads a few rows at a time; when a delimiter
folds the rest of a run of keys into a common prefix, it seeks past that run instead of reading
it, so a page costs the same whatever lies under its prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from s3server.core import records
from s3server.core.records import BucketRecord, ObjectRecord, UploadRecord, decode
from s3server.meta.base import MetadataStore, Row, after_prefix

_FIRST_SCAN_ROWS = 16  # rows read after a seek; doubled while no further seek is needed
_MAX_SCAN_ROWS = 1_024
_UPLOAD_SUFFIX_BYTES = 17  # NUL and upload id
_VERSION_SUFFIX_BYTES = 9  # NUL and sequence


@dataclass(frozen=True, slots=True)
class Fold:
    """What a delimiter does to names: the part up to it, after the prefix, stands for them all."""

    prefix: bytes
    delimiter: bytes
    suffix: int = 0  # bytes at the end of a name that are no part of the key

    def common_prefix(self, name: bytes) -> bytes | None:
        """Return the common prefix that stands for `name`, None where it stands for itself."""
        if not self.delimiter or not name.startswith(self.prefix):
            return None
        end = name.find(self.delimiter, len(self.prefix), len(name) - self.suffix)
        return None if end < 0 else name[: end + len(self.delimiter)]


@dataclass(slots=True)
class Page:
    """One page of keys and common prefixes, together in the order of their names."""

    items: list[Row] = field(default_factory=list)  # name (bytes within the bucket), row
    prefixes: list[bytes] = field(default_factory=list)
    is_truncated: bool = False
    last: bytes = b""  # name of the last item or prefix on the page


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One page of an object listing."""

    objects: list[tuple[str, ObjectRecord]]
    prefixes: list[str]
    is_truncated: bool
    last: str


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version or delete marker in a listing."""

    key: str
    record: ObjectRecord
    is_latest: bool


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One page of versions, by key and then from the newest to the oldest."""

    versions: list[ListedVersion]
    prefixes: list[str]
    is_truncated: bool
    last_key: str  # key of the last version, or the last common prefix
    last_sequence: int  # 0 after a common prefix


@dataclass(frozen=True, slots=True)
class UploadPage:
    """One page of uploads in progress, by key and then by time."""

    uploads: list[UploadRecord]
    prefixes: list[str]
    is_truncated: bool
    last_key: str  # key of the last upload, or the last common prefix
    last_upload: bytes  # empty after a common prefix


class Listing:
    """Listings of one store."""

    def __init__(self, meta: MetadataStore) -> None:
        self._meta = meta

    async def objects(
        self, bucket: BucketRecord, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> ObjectPage:
        """Return at most `limit` keys and common prefixes that come after `after`.

        Names are in the order of their UTF-8 bytes. `after` may be a common prefix of an earlier
        page: nothing under it is listed again.
        """
        page = await self._walk(
            records.OBJECT + bucket.id,
            Fold(prefix.encode(), delimiter.encode()),
            _start_after(after, prefix, delimiter),
            limit,
        )
        return ObjectPage(
            objects=[(name.decode(), decode(ObjectRecord, row)) for name, row in page.items],
            prefixes=[prefix.decode() for prefix in page.prefixes],
            is_truncated=page.is_truncated,
            last=page.last.decode(),
        )

    async def first_uploads(self, bucket: BucketRecord, limit: int) -> list[UploadRecord]:
        """Return the first uploads in progress of a bucket."""
        page = await self._walk(records.UPLOAD + bucket.id, Fold(b"", b""), b"", limit)
        return [decode(UploadRecord, row) for _, row in page.items]

    async def uploads(
        self,
        bucket: BucketRecord,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_upload: bytes | None,
        limit: int,
    ) -> UploadPage:
        """Return uploads in progress after a key, or after one upload of that key."""
        if after_upload is not None:
            start = after_key.encode() + b"\0" + after_upload + b"\0"
        else:
            start = _start_after(after_key, prefix, delimiter, end_of_key=b"\x01")
        fold = Fold(prefix.encode(), delimiter.encode(), suffix=_UPLOAD_SUFFIX_BYTES)
        page = await self._walk(records.UPLOAD + bucket.id, fold, start, limit)
        ends_in_upload = bool(page.items) and page.last == page.items[-1][0]
        key, upload = page.last, b""
        if ends_in_upload:
            key, upload = page.last[:-_UPLOAD_SUFFIX_BYTES], page.last[-16:]
        return UploadPage(
            uploads=[decode(UploadRecord, row) for _, row in page.items],
            prefixes=[prefix.decode() for prefix in page.prefixes],
            is_truncated=page.is_truncated,
            last_key=key.decode(),
            last_upload=upload,
        )

    async def versions(
        self,
        bucket: BucketRecord,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_sequence: int | None,
        limit: int,
    ) -> VersionPage:
        """Return versions and delete markers after a key, or after one version of that key.

        Current and older versions lie in two tables. The first is walked before and after the
        second, so that none is missed which moves from one to the other meanwhile.
        """
        start = older_start = _start_after(after_key, prefix, delimiter, end_of_key=b"\x01")
        if after_sequence is not None:
            older = records.version_key(b"", after_key, after_sequence)
            older_start = older.removeprefix(records.VERSION) + b"\0"
        fold = Fold(prefix.encode(), delimiter.encode())
        older_fold = replace(fold, suffix=_VERSION_SUFFIX_BYTES)
        pages = [
            await self._walk(records.OBJECT + bucket.id, fold, start, limit),
            await self._walk(records.VERSION + bucket.id, older_fold, older_start, limit),
            await self._walk(records.OBJECT + bucket.id, fold, start, limit),
        ]
        merged = sorted(_merge(pages).items())
        shown = merged[:limit]
        versions: list[ListedVersion] = []
        latest_of = after_key if after_sequence is not None else None
        for (name, _), record in shown:
            if record is not None:
                key = name.decode()
                versions.append(ListedVersion(key, record, is_latest=key != latest_of))
                latest_of = key
        last_name, last_order = shown[-1][0] if shown else (b"", 0)
        return VersionPage(
            versions=versions,
            prefixes=[name.decode() for (name, _), record in shown if record is None],
            is_truncated=len(merged) > limit or any(page.is_truncated for page in pages),
            last_key=last_name.decode(),
            last_sequence=-last_order,
        )

    async def _walk(self, table: bytes, fold: Fold, start: bytes, limit: int) -> Page:
        page = Page()
        position, stop = table + max(start, fold.prefix), after_prefix(table + fold.prefix)
        rows_wanted = _FIRST_SCAN_ROWS if fold.delimiter else _MAX_SCAN_ROWS
        while limit and position < stop:
            room = limit - len(page.items) - len(page.prefixes)
            wanted = min(rows_wanted, room + 1)
            rows = await self._meta.scan(position, stop, limit=wanted)
            seek = _take(page, rows, len(table), fold, limit)
            if page.is_truncated:
                break
            if seek is not None:
                position, rows_wanted = table + seek, _FIRST_SCAN_ROWS
            elif len(rows) < wanted:
                break
            else:
                position = rows[-1][0] + b"\0"
                rows_wanted = min(rows_wanted * 2, _MAX_SCAN_ROWS)
        return page


def _merge(pages: Sequence[Page]) -> dict[tuple[bytes, int], ObjectRecord | None]:
    """Return versions by key and negated sequence, and common prefixes with None."""
    found: dict[tuple[bytes, int], ObjectRecord | None] = {}
    for at, page in enumerate(pages):
        suffix = _VERSION_SUFFIX_BYTES if at == 1 else 0
        for name, row in page.items:
            record = decode(ObjectRecord, row)
            found[name[: len(name) - suffix], -record.sequence] = record
        found |= {(prefix, 0): None for prefix in page.prefixes}
    return found


def _take(page: Page, rows: list[Row], table: int, fold: Fold, limit: int) -> bytes | None:
    """Add rows to the page; return where to seek to when a common prefix was added."""
    for key, row in rows:
        if len(page.items) + len(page.prefixes) >= limit:
            page.is_truncated = True
            return None
        name = key[table:]
        common = fold.common_prefix(name)
        page.last = name if common is None else common
        if common is not None:
            page.prefixes.append(common)
            return after_prefix(common)
        page.items.append((name, row))
    return None


def _start_after(after: str, prefix: str, delimiter: str, *, end_of_key: bytes = b"\0") -> bytes:
    """Return the first name that may follow `after`."""
    if not after:
        return b""
    name = after.encode()
    if Fold(prefix.encode(), delimiter.encode()).common_prefix(name) == name:
        return after_prefix(name)
    return name + end_of_key
