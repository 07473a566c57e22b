"""Lifecycle configurations, and the index of what is to be looked at and when.

A row in table F names a key and a time at which something of it may fall due. Every change of a
key in a bucket with rules puts such a row for the next midnight, in its own commit
(`Versions.touch`): no rule can act before. The job (`jobs.lifecycle`) takes the rows whose time
has come, in their order, does what is due, and puts a row for what falls due next. A row is a
reason to look, never to act: what is done follows from the versions as they are then.

A new configuration puts one row without a key, at time 0: the job walks the bucket once.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from msgspec.structs import replace

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.commit import Commits, Plan
from s3server.core.lifecycle_rules import Calendar, Due, Rule, Schedule, look_at, parse_rules
from s3server.core.records import (
    BucketRecord,
    ConfigurationRecord,
    ObjectRecord,
    UploadRecord,
    decode,
    encode,
)
from s3server.core.upkeep_records import LifecycleReport
from s3server.errors import NoSuchBucket
from s3server.meta.base import Delete, MetadataStore, Put, Unchanged, Write, after_prefix

NAME = "lifecycle"
_CACHED_CONFIGURATIONS = 1_024
_VERSIONS_AT_ONCE = 1_000
_MOST_COUNTED = 10_000


class Lifecycle:
    """Lifecycle rules of one store."""

    def __init__(
        self, meta: MetadataStore, buckets: Buckets, blobs: Blobs, *, calendar: Calendar
    ) -> None:
        self._meta, self._buckets, self._blobs, self.calendar = meta, buckets, blobs, calendar
        self._commit = Commits(meta)
        self._parsed: dict[tuple[bytes, bytes], list[Rule]] = {}

    async def configure(self, bucket: BucketRecord, document: dict[str, Any] | None) -> None:
        """Set a bucket's configuration, or remove it. Raises what parse_rules() and update() do."""
        if document is not None:
            parse_rules(document)
        bucket_key = records.bucket_key(bucket.name)
        key = records.configuration_key(bucket.id, NAME)
        row = b"" if document is None else encode(ConfigurationRecord(document=document))
        digest = hashlib.sha256(row).digest()[:8] if row else b""

        async def plan() -> Plan[None]:
            found = await self._buckets.find(bucket.name)
            if found is None or found[0].id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            writes: list[Write] = [Put(bucket_key, encode(replace(found[0], lifecycle=digest)))]
            if row:
                writes += [Put(key, row), self.look_at(bucket, "", 0)]
            else:
                writes.append(Delete(key))
            return Plan(result=None, writes=writes, checks=[Unchanged(bucket_key, found[1])])

        await self._commit(plan)

    def look_at(self, bucket: BucketRecord, key: str, at_ms: int) -> Write:
        """Return the write that has a key looked at once a time has come."""
        return look_at(bucket, key, at_ms, self._blobs.ids.request_id())

    async def rules(self, bucket: BucketRecord) -> list[Rule]:
        """Return a bucket's rules, parsed once and known by the digest of their document."""
        if not bucket.lifecycle:
            return []
        known = self._parsed.get((bucket.id, bucket.lifecycle))
        if known is not None:
            return known
        document = await self._buckets.configuration(bucket, NAME)
        if document is None:  # removed since the bucket was read
            return []
        if len(self._parsed) >= _CACHED_CONFIGURATIONS:
            self._parsed.clear()
        rules = self._parsed[bucket.id, bucket.lifecycle] = parse_rules(document)
        return rules

    async def expiration(self, bucket: BucketRecord, key: str, record: ObjectRecord) -> Due | None:
        """Return when a current version expires, None where no rule says so."""
        schedule = Schedule(await self.rules(bucket), self.calendar, key)
        return schedule.current(record, is_alone=False)

    async def report(self, now_ms: int) -> tuple[LifecycleReport | None, int, int]:
        """Return the last run, how many keys wait to be looked at now, and when the next will.

        At most 10,000 are counted; 0 stands for a time that does not come.
        """
        row = await self._meta.get(records.store_key(NAME))
        report = None if row is None else decode(LifecycleReport, row)
        later = records.lifecycle_key(now_ms + 1, b"", "")
        waiting = await self._meta.scan(records.LIFECYCLE, later, limit=_MOST_COUNTED)
        stop = after_prefix(records.LIFECYCLE)
        rows = await self._meta.scan(later, stop, limit=1)
        next_ms = records.lifecycle_time_ms(rows[0][0]) if rows else 0
        return report, len(waiting), next_ms

    async def schedule(self, bucket: BucketRecord, key: str) -> AsyncIterator[Due]:
        """Yield what is due first, now or later, of each version and upload of a key."""
        rules = await self.rules(bucket)
        if not any(rule.is_enabled and key.startswith(rule.prefix) for rule in rules):
            return
        schedule = Schedule(rules, self.calendar, key)
        row = await self._meta.get(records.object_key(bucket.id, key))
        is_first = row is None
        start = prefix = records.version_prefix(bucket.id, key)
        if row is not None:
            record = decode(ObjectRecord, row)
            # Whoever does what is due puts a marker above this version: no old one to look at.
            start = records.version_key(bucket.id, key, record.sequence) + b"\0"
            due = schedule.current(record, is_alone=False)
            if due is not None:
                yield due
        while rows := await self._meta.scan(start, after_prefix(prefix), limit=_VERSIONS_AT_ONCE):
            for _, row in rows:
                record = decode(ObjectRecord, row)
                if is_first:
                    due = schedule.current(record, is_alone=len(rows) == 1)
                else:
                    due = schedule.noncurrent(record)
                is_first = False
                if due is not None:
                    yield due
            start = rows[-1][0] + b"\0"
        uploads = records.upload_key(bucket.id, key, b"")
        rows = await self._meta.scan(uploads, after_prefix(uploads), limit=_VERSIONS_AT_ONCE)
        for _, row in rows:
            due = schedule.upload(decode(UploadRecord, row))
            if due is not None:
                yield due
