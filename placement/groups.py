"""Blobs map to placement groups.

A group is the unit of which placement is computed and explained; a pool has a fixed
power of two of them, so that doubling the count splits each group in two and moves nothing else.
"""

from __future__ import annotations

from zlib import crc32


def pg_of(blob_id: bytes, pg_count: int) -> int:
    """Return the group of a blob, 0..pg_count-1: the low bits of the id's CRC-32."""
    if pg_count < 1 or pg_count & (pg_count - 1):
        raise ValueError(f"the number of groups is a power of two, not {pg_count}")
    return crc32(blob_id) & (pg_count - 1)
