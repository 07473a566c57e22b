"""Aborts multipart uploads that nobody went on with, in all buckets.

What was begun and had its last part `age_ms` ago is given up, whatever the rules of its bucket:
its parts take space that no listing of objects shows.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from s3server.core import records
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock
from s3server.core.multipart import Multipart, format_upload_id
from s3server.core.records import UploadRecord, decode
from s3server.errors import NoSuchUpload
from s3server.meta.base import MetadataStore, after_prefix

UPLOADS_PER_STEP = 256
REST_MS = 3_600_000  # between the beginnings of rounds


@dataclass(frozen=True, slots=True)
class Aborted:
    """What one step did."""

    uploads: int = 0
    has_more: bool = False


class StaleUploads:
    """The sweep of stale uploads; its place in a round is kept in memory only."""

    name = "stale-uploads"
    pause_s = 60.0

    def __init__(
        self,
        meta: MetadataStore,
        buckets: Buckets,
        multipart: Multipart,
        *,
        clock: Clock,
        age_ms: int,
    ) -> None:
        self._meta, self._buckets, self._multipart = meta, buckets, multipart
        self._clock, self._age_ms = clock, age_ms
        self._start, self._next_round_ms = b"", 0

    async def step(self) -> Aborted:
        """Look at the next uploads in progress."""
        now_ms = self._clock.now_ms()
        if not self._start:
            if 0 < self._next_round_ms - now_ms <= REST_MS:  # more: the clock was set back
                return Aborted()
            self._start, self._next_round_ms = records.UPLOAD, now_ms + REST_MS
        stop = after_prefix(records.UPLOAD)
        rows = await self._meta.scan(self._start, stop, limit=UPLOADS_PER_STEP)
        aborted = 0
        names: dict[bytes, str] = {}
        for key, row in rows:
            upload = decode(UploadRecord, row)
            if await self._is_stale(upload, now_ms):
                if key[1:9] not in names:
                    names |= await self._names()
                aborted += await self._abort(key[1:9], names.get(key[1:9]), upload)
        has_more = len(rows) == UPLOADS_PER_STEP
        self._start = rows[-1][0] + b"\0" if has_more else b""
        return Aborted(aborted, has_more)

    async def _is_stale(self, upload: UploadRecord, now_ms: int) -> bool:
        if upload.started_ms > now_ms - self._age_ms:
            return False
        parts = await self._multipart.parts(upload.id)
        return all(part.modified_ms <= now_ms - self._age_ms for part in parts)

    async def _names(self) -> dict[bytes, str]:
        """Return the names of all buckets by their ids."""
        table = records.BUCKET
        rows = await self._meta.scan(table, after_prefix(table), limit=1 << 30)
        return {bucket.id: bucket.name for bucket in (self._buckets.decode(row) for _, row in rows)}

    async def _abort(self, bucket_id: bytes, name: str | None, upload: UploadRecord) -> int:
        found = None if name is None else await self._buckets.find(name)
        if found is None or found[0].id != bucket_id:
            return 0
        with suppress(NoSuchUpload):  # somebody else was faster
            await self._multipart.abort(found[0], upload.key, format_upload_id(upload.id))
            return 1
        return 0
