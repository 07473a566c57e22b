"""Walks over the table of blobs: where bytes lie, by the rows that say so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import structlog

from s3server.core import records
from s3server.core.records import BlobRecord, R, decode
from s3server.data.codec import codec_from_name, shard_size
from s3server.meta.base import CorruptRecordError, MetadataStore, after_prefix
from s3server.model import DataRef

ROWS_AT_ONCE = 1_000

_log = structlog.get_logger("cluster")


@dataclass(frozen=True, slots=True)
class Held:
    """What OSDs are to hold by the table."""

    by_osd: Mapping[int, tuple[int, int]]  # shards, and bytes of them
    damaged: int  # rows of blobs that may lie anywhere

    def on(self, osd: int) -> tuple[int, int]:
        return self.by_osd.get(osd, (0, 0))


async def rows(
    meta: MetadataStore, table: bytes, kind: type[R]
) -> AsyncIterator[tuple[bytes, R | None]]:
    """Yield key, without the table's name, and record of all rows of a table; damaged ones as None.

    Those that come or go meanwhile may be among them or not.
    """
    start, stop = table, after_prefix(table)
    while found := await meta.scan(start, stop, limit=ROWS_AT_ONCE):
        for key, row in found:
            try:
                yield key[len(table) :], decode(kind, row)
            except CorruptRecordError as error:
                _log.error("row is damaged", key=key.hex(), reason=str(error))
                yield key[len(table) :], None
        start = found[-1][0] + b"\0"


def blobs(meta: MetadataStore) -> AsyncIterator[tuple[bytes, BlobRecord | None]]:
    """Yield every blob's id, and its record or None where that is damaged."""
    return rows(meta, records.BLOB, BlobRecord)


def shard_bytes(ref: DataRef) -> int:
    """Return the bytes of each shard of a blob, without what the file adds."""
    if not ref.stripe:
        return ref.size
    return shard_size(codec_from_name(ref.codec), ref.size, ref.stripe)


async def held(meta: MetadataStore) -> Held:
    """Return how many shards, and bytes of them, each OSD is to hold by the table."""
    found: dict[int, tuple[int, int]] = {}
    damaged = 0
    async for _, record in blobs(meta):
        if record is None:
            damaged += 1
        if record is None or record.ref is None:
            continue
        size = shard_bytes(record.ref)
        for place in record.ref.shards:
            shards, total = found.get(place.osd, (0, 0))
            found[place.osd] = shards + 1, total + size
    return Held(found, damaged)
