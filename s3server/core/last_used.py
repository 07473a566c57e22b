"""When access keys were last used: noted in memory at each request, written now and then.

A row is written at most once in five minutes for a key; what a crash loses is less than that and
the time between two flushes.
"""

from __future__ import annotations

from s3server.core import identity_records as rows
from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.identity_records import LastUsedRecord
from s3server.core.records import decode, encode
from s3server.meta.base import ConflictError, FullError, MetadataStore, Put, Unchanged

GRAIN_MS = 5 * 60_000
FLUSH_INTERVAL_S = 60.0
_MAX_NOTED = 100_000  # keys of one process between two flushes; later ones wait for their next use


class LastUsed:
    """The last use of each access key, as far as this process and the store know."""

    def __init__(self, meta: MetadataStore, clock: Clock) -> None:
        self._meta, self._clock = meta, clock
        self._noted: dict[str, tuple[int, str]] = {}
        self._written: dict[str, int] = {}

    def note(self, access_key_id: str, service: str) -> None:
        """Note that a key was used now. Costs a microsecond at most."""
        if not access_key_id:
            return
        now = self._clock.now_ms()
        is_new = abs(now - self._written.get(access_key_id, 0)) >= GRAIN_MS  # set back, perhaps
        if is_new and len(self._noted) < _MAX_NOTED:
            self._noted[access_key_id] = (now, service)

    async def flush(self) -> None:
        """Write what was noted, of keys that are still there."""
        noted, self._noted = self._noted, {}
        now = self._clock.now_ms()
        self._written = {key: at for key, at in self._written.items() if abs(now - at) < GRAIN_MS}
        for key_id, (at_ms, service) in noted.items():
            row = await self._meta.get(records.access_key_key(key_id))
            if row is None:  # root's, or a session's
                continue
            record = LastUsedRecord(at_ms=at_ms, service=service)
            write = Put(rows.last_used_key(key_id), encode(record))
            try:
                await self._meta.commit([write], [Unchanged(records.access_key_key(key_id), row)])
            except (ConflictError, FullError):  # changed meanwhile, or no space: the next use tells
                continue
            self._written[key_id] = at_ms

    async def find(self, access_key_id: str) -> LastUsedRecord | None:
        """Return the last use of a key that was written, None where none was."""
        row = await self._meta.get(rows.last_used_key(access_key_id))
        return None if row is None else decode(LastUsedRecord, row)
