"""Walks over the table of blobs: where bytes lie, by the rows that say so."""

from __future__ import annotations

from collections.abc import AsyncIterator

from s3server.core import records
from s3server.core.records import BlobRecord, decode
from s3server.data.codec import codec_from_name, shard_size
from s3server.meta.base import MetadataStore, after_prefix
from s3server.model import DataRef

ROWS_AT_ONCE = 1_000


async def rows(meta: MetadataStore, table: bytes) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield all rows of a table; those that come or go meanwhile may be among them or not."""
    start, stop = table, after_prefix(table)
    while found := await meta.scan(start, stop, limit=ROWS_AT_ONCE):
        for row in found:
            yield row
        start = found[-1][0] + b"\0"


async def blobs(meta: MetadataStore) -> AsyncIterator[tuple[bytes, BlobRecord]]:
    """Yield every blob's id and record."""
    async for key, row in rows(meta, records.BLOB):
        yield key[len(records.BLOB) :], decode(BlobRecord, row)


def shard_bytes(ref: DataRef) -> int:
    """Return the bytes of each shard of a blob, without what the file adds."""
    if not ref.stripe:
        return ref.size
    return shard_size(codec_from_name(ref.codec), ref.size, ref.stripe)


async def held_by(meta: MetadataStore) -> dict[int, tuple[int, int]]:
    """Return how many shards, and bytes of them, each OSD is to hold by the table."""
    found: dict[int, tuple[int, int]] = {}
    async for _, record in blobs(meta):
        if record.ref is None:
            continue
        size = shard_bytes(record.ref)
        for place in record.ref.shards:
            shards, total = found.get(place.osd, (0, 0))
            found[place.osd] = shards + 1, total + size
    return found
