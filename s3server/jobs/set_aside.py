"""Garbage that cannot be worked off, as a row is damaged: kept aside, and tried again.

A garbage row that cannot be read is kept as it is: which blobs it gave up is unknown, so they take
space until the operator has compared (`s3server verify`). References to blobs whose rows cannot
be read go back among the garbage once these rows are whole again, or gone. Rows of lifecycle, of
the outbox and of accounts that cannot be read lie here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s3server.core import records
from s3server.core.records import BlobRecord, GarbageRecord, decode, encode
from s3server.meta.base import (
    Append,
    ConflictError,
    CorruptRecordError,
    Delete,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
)

PREFIX = records.store_key("set-aside/")
AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class SetAside:
    """One row that is kept aside."""

    key: bytes
    row: bytes
    garbage: GarbageRecord | None  # None: it cannot be read


def write_aside(key: bytes, row: bytes) -> Write:
    """Return the write that keeps a row aside under a name of its own."""
    return Put(PREFIX + key, row)


def write_references_aside(key: bytes, blobs: Sequence[bytes], since_ms: int) -> Write:
    """Return the write that keeps aside some of the references in a garbage row."""
    # Each step of the collector that works at this row leaves others.
    return write_aside(key + blobs[0], encode(GarbageRecord(blobs=tuple(blobs), since_ms=since_ms)))


async def set_aside(meta: MetadataStore) -> list[SetAside]:
    """Return the first AT_ONCE rows that are kept aside."""
    rows = await meta.scan(PREFIX, after_prefix(PREFIX), limit=AT_ONCE)
    return [SetAside(key[len(PREFIX) :], row, _read(row)) for key, row in rows]


async def take_back(meta: MetadataStore) -> int:
    """Make garbage again of what can be worked off now; return how many rows that were."""
    taken = 0
    for each in await set_aside(meta):
        if each.garbage is None:
            continue
        keys = [records.blob_key(blob) for blob in each.garbage.blobs]
        rows = await meta.get_many(keys)
        if all(row is None or is_sound(BlobRecord, row) for row in rows):
            key = PREFIX + each.key
            writes: list[Write] = [Append(records.GARBAGE, each.row), Delete(key)]
            with suppress(ConflictError):  # another process was faster
                await meta.commit(writes, [Unchanged(key, each.row)])
                taken += 1
    return taken


async def forget(meta: MetadataStore, asides: Sequence[SetAside]) -> None:
    """Remove rows that are kept aside; what they gave up takes space from then on."""
    for each in asides:
        key = PREFIX + each.key
        with suppress(ConflictError):
            await meta.commit([Delete(key)], [Unchanged(key, each.row)])


def is_sound(kind: type[records.Record], row: bytes) -> bool:
    """Tell whether a row can be read."""
    try:
        decode(kind, row)
    except CorruptRecordError:
        return False
    return True


def described(aside: SetAside) -> dict[str, Any]:
    """Return what an operator is shown of a row that is kept aside."""
    garbage = aside.garbage
    return {
        "row": aside.key.hex(),
        "blobs": [] if garbage is None else [blob.hex() for blob in garbage.blobs],
        "reason": "it cannot be read" if garbage is None else "rows of its blobs cannot be read",
    }


def _read(row: bytes) -> GarbageRecord | None:
    return decode(GarbageRecord, row) if is_sound(GarbageRecord, row) else None
