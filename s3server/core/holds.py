"""Long downloads of composite blobs: what they still have to read is held back from collection.

The parts of a composite blob are opened one after the other, as there may be 10,000 of them. What
is overwritten or deleted meanwhile is collected after a grace; a download that lasts longer is
named in a row of its process, which the collector honours until it ends. The row is renewed while
there are such downloads; that of a process that died runs out.

Alternatives: opening all parts at once takes descriptors without bound, and counting a download
as a use of the blob leaves wrong counts behind a crash.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from s3server.core.clock import Clock
from s3server.core.records import BlobRecord, decode, encode
from s3server.core.upkeep_records import HoldRecord, hold_key
from s3server.meta.base import (
    ConflictError,
    CorruptRecordError,
    Delete,
    FullError,
    MetadataStore,
    Put,
    Unchanged,
    after_prefix,
)

HELD_FOR_MS = 30_000  # after it was written, the row is honoured
RENEW_MS = 10_000
MAX_HELD = 4_096  # downloads named per process: the row stays below 128 KiB
ANY = b"*"  # stands for every composite blob

_log = structlog.get_logger("holds")


def held_by(record: BlobRecord) -> bytes:
    """Return what a composite blob is known by in a row: its last part; empty for other blobs."""
    return next((part.blob for part in reversed(record.parts) if part.blob), b"")


class Holds:
    """The long downloads of one process."""

    def __init__(self, meta: MetadataStore, *, clock: Clock, process: bytes, grace_ms: int) -> None:
        """Prepare; `process` names this process, `grace_ms` is that of the collector."""
        self._meta, self._clock, self._key = meta, clock, hold_key(process)
        self._patience_ms = grace_ms // 4 if grace_ms >= 4_000 else 0
        self._downloads: dict[object, tuple[bytes, int]] = {}  # what it holds, since when
        self._written: Counter[bytes] = Counter()
        self._written_ms = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def download(self, record: BlobRecord) -> AsyncIterator[None]:
        """Hold a composite blob back from collection until the context is left.

        What ends within a quarter of the grace costs no commit.
        """
        token = object()
        self._downloads[token] = (held_by(record), self._clock.now_ms())
        try:
            if not self._patience_ms:
                await self.renew()
            yield
        finally:
            del self._downloads[token]

    async def renew(self) -> None:
        """Write the row anew if it is time, or other downloads have become long ones."""
        async with self._lock:
            now_ms = self._clock.now_ms()
            long = Counter(
                blob
                for blob, since_ms in self._downloads.values()
                if abs(now_ms - since_ms) >= self._patience_ms  # the clock may be set back
            )
            is_fresh = abs(now_ms - self._written_ms) < RENEW_MS
            if long == self._written and (is_fresh or not long):
                return
            with suppress(FullError):  # then nothing is left but the grace
                if long:
                    blobs = tuple(list(long)[:MAX_HELD])
                    record = HoldRecord(blobs=blobs, until_ms=now_ms + HELD_FOR_MS)
                    await self._meta.commit([Put(self._key, encode(record))])
                else:
                    await self._meta.commit([Delete(self._key)])
                self._written, self._written_ms = long, now_ms


def is_held(record: BlobRecord, held: frozenset[bytes]) -> bool:
    """Tell whether a blob is among those that held_blobs() returned."""
    name = held_by(record)
    return bool(name) and (name in held or ANY in held)


async def held_blobs(meta: MetadataStore, now_ms: int) -> frozenset[bytes]:
    """Return what downloads hold back; rows that ran out are removed on the way.

    A row that is damaged may have named any composite blob: all of them are held back until its
    process wrote it anew, or would have run out.
    """
    prefix = hold_key(b"")
    held: set[bytes] = set()
    for key, row in await meta.scan(prefix, after_prefix(prefix), limit=1 << 16):
        try:
            record = decode(HoldRecord, row)
        except CorruptRecordError as error:
            _log.error("hold row is damaged", key=key.hex(), reason=str(error))
            record = HoldRecord(blobs=(ANY,), until_ms=now_ms + HELD_FOR_MS)
            with suppress(ConflictError, FullError):
                await meta.commit([Put(key, encode(record))], [Unchanged(key, row)])
        if 0 <= record.until_ms - now_ms <= 2 * HELD_FOR_MS:  # more: by a clock far ahead
            held.update(record.blobs)
        else:
            with suppress(ConflictError, FullError):  # its process may renew it just now
                await meta.commit([Delete(key)], [Unchanged(key, row)])
    return frozenset(held)
