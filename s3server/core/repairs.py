"""What is to be repaired: a row for every blob that lacks shards, the most endangered first."""

from __future__ import annotations

from collections.abc import Collection

from s3server.core.records import RepairRecord, encode, repair_key
from s3server.data.codec import codec_from_name
from s3server.meta.base import Put
from s3server.model import DataRef


def repair_row(ref: DataRef, shards: Collection[int], reason: str, *, since_ms: int) -> Put:
    """Return the write that asks for these shards of a blob to be made again.

    Repeating it changes nothing but `since_ms` and `reason`.
    """
    codec = codec_from_name(ref.codec)
    losses_left = codec.total - codec.needed - len(shards)
    record = RepairRecord(
        blob=ref.blob, shards=tuple(sorted(shards)), reason=reason, since_ms=since_ms
    )
    return Put(repair_key(losses_left, ref.blob), encode(record))
