"""Collects garbage: frees the bytes of blobs that nothing uses any more.

A garbage row stands for one reference to each of its blobs. Bytes are freed before the row is
worked off, and freeing is idempotent, so a crash at any point repeats work and loses nothing.
Nobody can begin to use a blob whose only reference is its garbage row: sharing a blob checks
that the object it was found through is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.records import BlobRecord, GarbageRecord, decode, encode
from s3server.data.base import Pool
from s3server.meta.base import (
    Check,
    ConflictError,
    Delete,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
)

ROWS_PER_STEP = 64
BLOBS_PER_COMMIT = 256


@dataclass(frozen=True, slots=True)
class Collected:
    """What one step did."""

    blobs: int = 0
    bytes: int = 0
    has_more: bool = False


class Collect:
    """The garbage collector of one store."""

    name = "collect"

    def __init__(
        self, meta: MetadataStore, pools: Mapping[str, Pool], *, clock: Clock, grace_ms: int
    ) -> None:
        self._meta, self._pools, self._clock, self._grace_ms = meta, pools, clock, grace_ms

    async def step(self) -> Collected:
        """Work off the oldest garbage that is past its grace: requests may still be reading it."""
        garbage = records.GARBAGE
        rows = await self._meta.scan(garbage, after_prefix(garbage), limit=ROWS_PER_STEP)
        blobs = freed = 0
        for key, row in rows:
            record = decode(GarbageRecord, row)
            if record.since_ms + self._grace_ms > self._clock.now_ms():
                return Collected(blobs, freed)
            done = await self._work_off(key, row, record)
            blobs, freed = blobs + done.blobs, freed + done.bytes
        return Collected(blobs, freed, has_more=bool(rows))

    async def _work_off(self, key: bytes, row: bytes, garbage: GarbageRecord) -> Collected:
        """Release the first blobs of one row; keep the others for later steps."""
        now, later = garbage.blobs[:BLOBS_PER_COMMIT], list(garbage.blobs[BLOBS_PER_COMMIT:])
        writes: list[Write] = []
        checks: list[Check] = [Unchanged(key, row)]
        freed = 0
        # A blob may stand in one row twice, where a copy and its source went together.
        for blob in dict.fromkeys(now):
            blob_key = records.blob_key(blob)
            blob_row = await self._meta.get(blob_key)
            if blob_row is None:
                continue
            record = decode(BlobRecord, blob_row)
            left = record.uses - now.count(blob)
            checks.append(Unchanged(blob_key, blob_row))
            if left > 0:
                writes.append(Put(blob_key, encode(_with_uses(record, left))))
                continue
            if record.ref is not None:
                await self._pools[record.ref.pool].delete(record.ref)
            writes.append(Delete(blob_key))
            later += [part.blob for part in record.parts if part.blob]
            freed += 0 if record.parts else record.size
        if later:
            rest = GarbageRecord(blobs=tuple(later), since_ms=garbage.since_ms)
            writes.append(Put(key, encode(rest)))
        else:
            writes.append(Delete(key))
        try:
            await self._meta.commit(writes, checks)
        except ConflictError:  # a copy began to share one of them: the next step sees it
            return Collected()
        return Collected(len(now), freed)


def _with_uses(record: BlobRecord, uses: int) -> BlobRecord:
    return BlobRecord(size=record.size, uses=uses, ref=record.ref, parts=record.parts)
