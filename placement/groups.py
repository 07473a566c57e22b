"""Blobs map to placement groups, placement groups to devices.

A group is the unit of which placement is computed, compared and explained; a pool has a fixed
power of two of them, so that doubling the count splits each group in two and moves nothing else.
"""

from __future__ import annotations

from zlib import crc32

from placement.choose import Chooser, Rule
from placement.cluster_map import Map
from placement.hashing import hash2

Table = tuple[tuple[int | None, ...], ...]


def pg_of(blob_id: bytes, pg_count: int) -> int:
    """Return the group of a blob, 0..pg_count-1: the low bits of the id's CRC-32."""
    _check_count(pg_count)
    return crc32(blob_id) & (pg_count - 1)


def table(cluster: Map, rule: Rule, pg_count: int, *, pool_id: int = 0) -> Table:
    """Return the devices of every group. Pools with different ids get unrelated placements."""
    _check_count(pg_count)
    chooser = Chooser(cluster, rule)
    return tuple(chooser.choose(hash2(group, pool_id)) for group in range(pg_count))


def _check_count(pg_count: int) -> None:
    if pg_count < 1 or pg_count & (pg_count - 1):
        raise ValueError(f"the number of groups is a power of two, not {pg_count}")
