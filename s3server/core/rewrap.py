"""Wraps data keys anew by the newest key of the ring, so that older ones can be removed.

Bytes stay as they are; only records change. A run that was interrupted is begun again: what it did
is passed over. Objects of clients' keys are none of the ring's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from s3server.core import records
from s3server.core.commit import Commits, Plan
from s3server.core.keys import KeyRing, LostKeyError, read_envelope, write_envelope
from s3server.core.records import ObjectRecord, UploadRecord, decode, encode
from s3server.meta.base import Check, MetadataStore, Put, Row, Unchanged, Write, after_prefix

ROWS_PER_STEP = 256
TABLES: tuple[tuple[bytes, type[ObjectRecord | UploadRecord]], ...] = (
    (records.UPLOAD, UploadRecord),  # first: what they become has the new key by then
    (records.OBJECT, ObjectRecord),
    (records.VERSION, ObjectRecord),
)


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What one step did."""

    keys: int = 0
    lost: int = 0  # under keys that the ring lacks: left as they are
    has_more: bool = True


class Rewrap:
    """One run over all objects and uploads; its place is kept in memory only."""

    def __init__(self, meta: MetadataStore, ring: KeyRing) -> None:
        self._meta, self._ring = meta, ring
        self._commit = Commits(meta)
        self._table, self._start = 0, TABLES[0][0]

    async def step(self) -> Rewrapped:
        """Go over the next rows, in one commit. Raises KeyRingError where the ring is unusable."""
        prefix, kind = TABLES[self._table]

        async def plan() -> Plan[tuple[Sequence[Row], int, int]]:
            rows = await self._meta.scan(self._start, after_prefix(prefix), limit=ROWS_PER_STEP)
            writes: list[Write] = []
            checks: list[Check] = []
            lost = 0
            for key, row in rows:
                try:
                    changed = self._rewrapped(decode(kind, row))
                except LostKeyError:
                    lost += 1
                    continue
                if changed is not None:
                    writes.append(Put(key, encode(changed)))
                    checks.append(Unchanged(key, row))
            return Plan((rows, len(writes), lost), writes, checks)

        rows, keys, lost = await self._commit(plan)
        if len(rows) == ROWS_PER_STEP:
            self._start = rows[-1][0] + b"\0"
            return Rewrapped(keys, lost)
        self._table += 1
        if self._table == len(TABLES):
            self._table, self._start = 0, TABLES[0][0]
            return Rewrapped(keys, lost, has_more=False)
        self._start = TABLES[self._table][0]
        return Rewrapped(keys, lost)

    def _rewrapped(self, record: ObjectRecord | UploadRecord) -> ObjectRecord | UploadRecord | None:
        changed = replace(record, encryption=self._wrapped(record.encryption))
        if isinstance(changed, ObjectRecord) and changed.annotations:
            annotations = tuple(
                replace(each, encryption=self._wrapped(each.encryption))
                for each in changed.annotations
            )
            changed = replace(changed, annotations=annotations)
        return None if changed == record else changed

    def _wrapped(self, encryption: bytes) -> bytes:
        envelope = self._ring.rewrap(read_envelope(encryption)) if encryption else None
        return encryption if envelope is None else write_envelope(envelope)
