"""What is to be repaired: a row for every blob that lacks shards, the most endangered first.

The first byte of a row's key is its level:

    0...     so many more losses the blob survives
    ASTRAY   the blob is whole, but shards lie elsewhere than the map says
    LOST     too few shards can be read: kept for the operator; nothing is guessed or deleted
"""

from __future__ import annotations

from collections.abc import Collection

from s3server.core.records import RepairRecord, encode, repair_key
from s3server.data.codec import MAX_SHARDS, codec_from_name
from s3server.meta.base import Put
from s3server.model import DataRef

ASTRAY, LOST = 64, 255
assert MAX_SHARDS < ASTRAY

# Reasons for which a look at sizes and headers finds what is wrong; for others all is read.
DEGRADED, MISSING, OSD_LOST, MOVED = "degraded write", "missing", "osd lost", "astray"
CORRUPT, UNREADABLE = "corrupt", "unreadable"
SEEN_WITHOUT_READING = frozenset({DEGRADED, MISSING, OSD_LOST, MOVED})


def repair_row(ref: DataRef, shards: Collection[int], reason: str, *, since_ms: int) -> Put:
    """Return the write that asks for these shards of a blob to be made again.

    Repeating it changes nothing but `since_ms` and `reason`.
    """
    codec = codec_from_name(ref.codec)
    return _row(codec.total - codec.needed - len(shards), ref, shards, reason, since_ms)


def astray_row(ref: DataRef, shards: Collection[int], *, since_ms: int) -> Put:
    """Return the write that asks for these shards to be moved to where the map puts them."""
    return _row(ASTRAY, ref, shards, MOVED, since_ms)


def lost_row(ref: DataRef, shards: Collection[int], *, since_ms: int) -> Put:
    """Return the write that lists a blob as unreadable."""
    return _row(LOST, ref, shards, UNREADABLE, since_ms)


def _row(level: int, ref: DataRef, shards: Collection[int], reason: str, since_ms: int) -> Put:
    record = RepairRecord(
        blob=ref.blob, shards=tuple(sorted(shards)), reason=reason, since_ms=since_ms
    )
    return Put(repair_key(level, ref.blob), encode(record))
