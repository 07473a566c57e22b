"""Does what lifecycle rules say, by the index of `core.lifecycle`.

A step takes some rows whose time has come, looks at each key as it is then, does what is due and
replaces the row by one for what falls due next. Every removal is conditional on the record that
the rules were held against, and asks the lock like any other. Where a version is locked, or its
event has no room in a full outbox, or a record of its key is damaged, that key is looked at again
at the next midnight; a row that cannot be read itself is set aside. The others go on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from s3server.core import records
from s3server.core.access_log import line_of_rule
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.lifecycle import Lifecycle
from s3server.core.lifecycle_rules import Due
from s3server.core.log_spool import Spool
from s3server.core.multipart import Multipart, format_upload_id
from s3server.core.notifications import Cause
from s3server.core.objects import Objects, WriteCondition
from s3server.core.records import BucketRecord, decode, encode
from s3server.core.upkeep_records import LifecycleReport
from s3server.core.versions import NULL_VERSION
from s3server.errors import (
    AccessDenied,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    SlowDown,
)
from s3server.jobs.set_aside import write_aside
from s3server.meta.base import (
    ConflictError,
    CorruptRecordError,
    Delete,
    MetadataStore,
    Put,
    Row,
    Unchanged,
    Write,
    after_prefix,
)

ROWS_PER_STEP = 256
KEYS_PER_WALK = 256  # of a bucket whose rules are new
CONCURRENT_KEYS = 32  # whose commits may wait for the same flush
_log = structlog.get_logger("jobs")
_DELETED = {
    "Expiration": "expired",
    "ExpiredObjectDeleteMarker": "markers",
    "NoncurrentVersionExpiration": "noncurrent",
    "AbortIncompleteMultipartUpload": "uploads",
}


@dataclass(slots=True)
class Worked:
    """What one step did, by counts."""

    keys: int = 0  # looked at
    expired: int = 0
    markers: int = 0
    noncurrent: int = 0
    uploads: int = 0
    locked: int = 0
    damaged: int = 0  # keys of which a record cannot be read, and rows of the index
    has_more: bool = False


class LifecycleJob:
    """The executor of lifecycle rules of one store."""

    name = "lifecycle"
    pause_s = 1.0

    def __init__(
        self,
        meta: MetadataStore,
        *,
        buckets: Buckets,
        objects: Objects,
        multipart: Multipart,
        lifecycle: Lifecycle,
        clock: Clock,
        spool: Spool | None = None,
    ) -> None:
        """Prepare; `spool` takes lines of access logs."""
        self._meta, self._buckets, self._objects = meta, buckets, objects
        self._multipart, self._lifecycle, self._clock = multipart, lifecycle, clock
        self._spool = spool
        self._commit = Commits(meta)

    async def step(self) -> Worked:
        """Work off the rows that are due, the earliest first."""
        now_ms = self._clock.now_ms()
        stop = records.lifecycle_key(now_ms + 1, b"", "")
        rows = await self._meta.scan(records.LIFECYCLE, stop, limit=ROWS_PER_STEP)
        worked = Worked(has_more=len(rows) == ROWS_PER_STEP)
        limit = asyncio.Semaphore(CONCURRENT_KEYS)

        async def work_off(row: Row) -> None:
            async with limit:
                await self._work_off(row, now_ms, worked)

        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(work_off(row))
        if rows:
            await self._report(worked, now_ms)
        return worked

    async def _work_off(self, row: Row, now_ms: int, worked: Worked) -> None:
        name, _, token = row[1].partition(b"\0")
        try:
            _, bucket_id, key = records.parse_lifecycle_key(row[0])
            bucket_name = name.decode()
        except (CorruptRecordError, UnicodeDecodeError):
            await self._set_aside(row, worked)
            return
        try:
            found = await self._buckets.find(bucket_name)
        except CorruptRecordError as error:
            self._tell_damage(worked, error, bucket_name)
            at_ms = self._lifecycle.calendar.midnight(now_ms + 1)
            await self._put_off(row, Put(records.lifecycle_key(at_ms, bucket_id, key), row[1]))
            return
        if found is None or found[0].id != bucket_id or not found[0].lifecycle:
            await self._replace(row, None, 0)
        elif key:
            next_ms = await self._look_at(found[0], key, now_ms, worked)
            await self._replace(row, found[0], next_ms, key)
        else:
            await self._walk(found[0], row, token, now_ms, worked)

    async def _replace(
        self, row: Row, bucket: BucketRecord | None, at_ms: int, key: str = ""
    ) -> None:
        """Replace a row by one for a later time; a row that was put again meanwhile stays."""
        later: list[Write] = []
        if bucket is not None and at_ms:
            later.append(self._lifecycle.look_at(bucket, key, at_ms))
        await self._put_off(row, *later)

    async def _put_off(self, row: Row, *later: Write) -> None:
        with suppress(ConflictError):
            await self._meta.commit([Delete(row[0]), *later], [Unchanged(*row)])

    async def _set_aside(self, row: Row, worked: Worked) -> None:
        """Keep a row that cannot be read where it holds nobody up."""
        worked.damaged += 1
        _log.error("lifecycle row is damaged and set aside", key=row[0].hex(), row=row[1].hex())
        await self._put_off(row, write_aside(*row))

    def _tell_damage(self, worked: Worked, error: Exception, bucket: str, key: str = "") -> None:
        worked.damaged += 1
        _log.error("record is damaged", bucket=bucket, key=key, reason=str(error))

    async def _look_at(self, bucket: BucketRecord, key: str, now_ms: int, worked: Worked) -> int:
        """Do what is due of a key; return when it is to be looked at again, 0 for never."""
        worked.keys += 1
        try:
            return await self._do_all(bucket, key, now_ms, worked)
        except CorruptRecordError as error:
            self._tell_damage(worked, error, bucket.name, key)
            return self._lifecycle.calendar.midnight(now_ms + 1)

    async def _do_all(self, bucket: BucketRecord, key: str, now_ms: int, worked: Worked) -> int:
        again_ms = 0
        async for due in self._lifecycle.schedule(bucket, key):
            at_ms = due.at_ms
            if at_ms <= now_ms:
                if await self._do(bucket, key, due, worked):
                    continue
                at_ms = self._lifecycle.calendar.midnight(now_ms + 1)
            again_ms = min(again_ms or at_ms, at_ms)
        return again_ms

    async def _do(self, bucket: BucketRecord, key: str, due: Due, worked: Worked) -> bool:
        """Do one thing that is due; False where it cannot be done now."""
        try:
            if due.upload is not None:
                await self._multipart.abort(bucket, key, format_upload_id(due.upload.id))
            elif due.version is not None:
                version_id: str | None = due.version.version_id or NULL_VERSION
                if due.action == "Expiration":
                    version_id = None
                await self._objects.delete(
                    bucket,
                    key,
                    version_id,
                    owner=bucket.owner,
                    condition=WriteCondition(if_record=due.version),
                    cause=Cause("LifecycleExpiration"),
                )
        except AccessDenied:
            worked.locked += 1
            return False
        except SlowDown:  # the topic that is told of it takes no more events now
            return False
        except (NoSuchKey, NoSuchUpload, PreconditionFailed):  # others changed it, and put a row
            return True
        counter = _DELETED[due.action]
        setattr(worked, counter, getattr(worked, counter) + 1)
        self._write_down(bucket, key, due)
        return True

    def _write_down(self, bucket: BucketRecord, key: str, due: Due) -> None:
        """Leave a line of what was done in the bucket's access log."""
        if self._spool is None or not bucket.logging:
            return
        done = "DELETE.UPLOAD" if due.upload is not None else "EXPIRE.OBJECT"
        if due.action == "Expiration" and bucket.versioning:
            done = "CREATE.DELETEMARKER"
        version_id = "" if due.version is None else due.version.version_id
        line = line_of_rule(bucket, f"S3.{done}", key, version_id, self._clock.now_ms())
        self._spool.add(bucket, line)

    async def _walk(
        self, bucket: BucketRecord, row: Row, token: bytes, now_ms: int, worked: Worked
    ) -> None:
        """Look at the next keys of a bucket whose rules are new; remember in the row how far."""
        token, _, after = token.partition(b"\0")
        keys = await self._next_keys(bucket, after)
        writes: list[Write] = []
        for key in map(bytes.decode, keys):
            next_ms = await self._look_at(bucket, key, now_ms, worked)
            if next_ms:
                writes.append(self._lifecycle.look_at(bucket, key, next_ms))
        if keys:
            worked.has_more = True
            writes.append(Put(row[0], b"\0".join((bucket.name.encode(), token, keys[-1]))))
        else:
            writes.append(Delete(row[0]))
        with suppress(ConflictError):  # the rules were changed again: their walk begins anew
            await self._meta.commit(writes, [Unchanged(*row)])

    async def _next_keys(self, bucket: BucketRecord, after: bytes) -> list[bytes]:
        """Return the next keys that have versions or uploads."""
        found: set[bytes] = set()
        for table, suffix in (
            (records.OBJECT, 0),
            (records.VERSION, 9),
            (records.UPLOAD, 17),
        ):
            prefix = table + bucket.id
            start = prefix + (after + b"\x01" if after else b"")
            names: list[bytes] = []
            while len(names) < KEYS_PER_WALK:
                rows = await self._meta.scan(start, after_prefix(prefix), limit=KEYS_PER_WALK)
                if not rows:
                    break
                names += sorted({key[len(prefix) : len(key) - suffix] for key, _ in rows})
                start = prefix + names[-1] + b"\x01"
            found.update(names)
        return sorted(found)[:KEYS_PER_WALK]

    async def _report(self, worked: Worked, now_ms: int) -> None:
        """Add what was done to the report of this day's run."""
        key = records.store_key("lifecycle")
        day_ms = self._lifecycle.calendar.day_ms

        async def plan() -> Plan[None]:
            row = await self._meta.get(key)
            report = LifecycleReport(since_ms=now_ms)
            if row is not None:
                stored = decode(LifecycleReport, row)
                if stored.since_ms // day_ms == now_ms // day_ms:
                    report = stored
            report = replace(
                report,
                until_ms=now_ms,
                keys=report.keys + worked.keys,
                expired=report.expired + worked.expired,
                markers=report.markers + worked.markers,
                noncurrent=report.noncurrent + worked.noncurrent,
                uploads=report.uploads + worked.uploads,
                locked=report.locked + worked.locked,
            )
            return Plan(None, [Put(key, encode(report))], [Unchanged(key, row)])

        await self._commit(plan)
