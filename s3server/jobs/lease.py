"""A lease in the metadata store: of several gateways, one does the background work."""

from __future__ import annotations

import msgspec

from s3server.core.clock import Clock
from s3server.core.records import store_key
from s3server.meta.base import ConflictError, Delete, MetadataStore, Put, Unchanged


class _LeaseRow(msgspec.Struct, frozen=True, array_like=True):
    holder: bytes
    until_ms: int


class Lease:
    """One named lease, held for a while at a time and renewed long before it ends."""

    def __init__(
        self, meta: MetadataStore, name: str, *, holder: bytes, clock: Clock, duration_ms: int
    ) -> None:
        self._meta, self._clock, self._holder = meta, clock, holder
        self._key, self._duration_ms = store_key(f"lease/{name}"), duration_ms

    async def hold(self) -> bool:
        """Take or renew the lease; tell whether it is held now."""
        row, now = await self._meta.get(self._key), self._clock.now_ms()
        lease = None if row is None else msgspec.msgpack.decode(row, type=_LeaseRow)
        if lease is not None and lease.holder != self._holder and lease.until_ms > now:
            return False
        if lease is not None and lease.holder == self._holder:
            remaining = lease.until_ms - now
            if remaining > self._duration_ms // 2:
                return True
        mine = _LeaseRow(self._holder, now + self._duration_ms)
        try:
            await self._meta.commit(
                [Put(self._key, msgspec.msgpack.encode(mine))], [Unchanged(self._key, row)]
            )
        except ConflictError:
            return False
        return True

    async def release(self) -> None:
        """Give the lease back, if it is held."""
        row = await self._meta.get(self._key)
        if row is None or msgspec.msgpack.decode(row, type=_LeaseRow).holder != self._holder:
            return
        try:
            await self._meta.commit([Delete(self._key)], [Unchanged(self._key, row)])
        except ConflictError:
            return
