"""Rows that are damaged on purpose."""

from __future__ import annotations

from s3server.meta.base import MetadataStore, Put


async def damage_row(meta: MetadataStore, key: bytes) -> bytes:
    """Damage the row of a key; return what it was."""
    row = await meta.get(key)
    assert row is not None
    await meta.commit([Put(key, row[:-1] + bytes([row[-1] ^ 1]))])
    return row
