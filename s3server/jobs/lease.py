"""A lease in the metadata store: of several gateways, one does the background work.

It saves work, it does not protect: every job is safe with a second one beside it, which a clock
that jumps can bring about.
"""

from __future__ import annotations

from contextlib import suppress

from s3server.core.clock import Clock
from s3server.core.records import decode, encode, store_key
from s3server.core.upkeep_records import LeaseRecord
from s3server.meta.base import ConflictError, Delete, FullError, MetadataStore, Put, Unchanged


class Lease:
    """One named lease, held for a while at a time and renewed long before it ends."""

    def __init__(
        self, meta: MetadataStore, name: str, *, holder: bytes, clock: Clock, duration_ms: int
    ) -> None:
        self._meta, self._clock, self._holder = meta, clock, holder
        self._key, self._duration_ms = store_key(f"lease/{name}"), duration_ms

    async def hold(self) -> bool:
        """Take or renew the lease; tell whether it is held now.

        On a full disk, where it cannot be written, whoever finds it free holds it: the work that
        it is for makes space.
        """
        row, now = await self._meta.get(self._key), self._clock.now_ms()
        if row is not None:
            lease = decode(LeaseRecord, row)
            left = lease.until_ms - now
            if lease.holder == self._holder:
                if left > self._duration_ms // 2:
                    return True
            # What a clock far ahead of ours once wrote would otherwise stand for years.
            elif 0 < left <= 2 * self._duration_ms:
                return False
        mine = LeaseRecord(holder=self._holder, until_ms=now + self._duration_ms)
        try:
            with suppress(FullError):
                await self._meta.commit([Put(self._key, encode(mine))], [Unchanged(self._key, row)])
        except ConflictError:
            return False
        return True

    async def release(self) -> None:
        """Give the lease back, if it is held."""
        row = await self._meta.get(self._key)
        if row is None or decode(LeaseRecord, row).holder != self._holder:
            return
        try:
            await self._meta.commit([Delete(self._key)], [Unchanged(self._key, row)])
        except ConflictError:
            return
