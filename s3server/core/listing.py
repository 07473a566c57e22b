"""Listings: walks over key order that skip what a delimiter folds together.

A listing reads metadata only. Within one page it reads a few rows at a time; when a delimiter
folds the rest of a run of keys into a common prefix, it seeks past that run instead of reading
it, so a page costs the same whatever lies under its prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from s3server.core import records
from s3server.core.folding import FIRST_SCAN_ROWS, MAX_SCAN_ROWS, Fold, start_after
from s3server.core.records import BucketRecord, ObjectRecord, UploadRecord, decode
from s3server.core.version_listing import Place, VersionPage, VersionWalk
from s3server.meta.base import MetadataStore, Row, after_prefix

_UPLOAD_SUFFIX_BYTES = 17  # NUL and upload id


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
            start_after(after, prefix, delimiter),
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
            start = start_after(after_key, prefix, delimiter, end_of_key=b"\x01")
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
        """Return versions and delete markers after a key, or after one version of that key."""
        if after_sequence:
            place = Place(after_key.encode(), after_sequence)
        else:
            place = Place(start_after(after_key, prefix, delimiter, end_of_key=b"\x01"))
        fold = Fold(prefix.encode(), delimiter.encode())
        return await VersionWalk(self._meta, bucket, fold, place, limit).page()

    async def _walk(self, table: bytes, fold: Fold, start: bytes, limit: int) -> Page:
        page = Page()
        position, stop = table + max(start, fold.prefix), after_prefix(table + fold.prefix)
        rows_wanted = FIRST_SCAN_ROWS if fold.delimiter else MAX_SCAN_ROWS
        while limit and position < stop:
            room = limit - len(page.items) - len(page.prefixes)
            wanted = min(rows_wanted, room + 1)
            rows = await self._meta.scan(position, stop, limit=wanted)
            seek = _take(page, rows, len(table), fold, limit)
            if page.is_truncated:
                break
            if seek is not None:
                position, rows_wanted = table + seek, FIRST_SCAN_ROWS
            elif len(rows) < wanted:
                break
            else:
                position = rows[-1][0] + b"\0"
                rows_wanted = min(rows_wanted * 2, MAX_SCAN_ROWS)
        return page


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
