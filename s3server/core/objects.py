"""Objects: put, find, read, delete. One commit decides each change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from msgspec import structs

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.etags import etag_of
from s3server.core.lifecycle_rules import Calendar
from s3server.core.locks import NOT_RETAINED, Retention, default_retention
from s3server.core.notifications import Cause, Caused, Notifications
from s3server.core.quotas import Quotas
from s3server.core.record_parts import Annotation
from s3server.core.records import BlobRecord, BucketRecord, Grants, ObjectRecord, decode, encode
from s3server.core.versions import (
    NULL_VERSION,
    Located,
    Stack,
    Versions,
    format_version_id,
    same_bucket,
)
from s3server.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion, PreconditionFailed
from s3server.meta.base import Check, MetadataStore, Put, Unchanged, Write
from s3server.model import DataRef, Upload

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client says about an object beside its bytes."""

    owner: str
    headers: Pairs = ()  # system headers by their names in the model: ("ContentType", "text/csv")
    metadata: Pairs = ()
    acl: str = ""
    grants: Grants = ()
    storage_class: str = "STANDARD"
    encryption: bytes = b""  # `keys.Envelope`, stored with the object; empty: plain
    data_key: bytes = field(default=b"", repr=False)  # what its bytes are encrypted with
    source_key: bytes = field(default=b"", repr=False)  # of a copy: what its source is
    cause: Cause | None = None  # of the event that storing the object is
    tags: Pairs = ()
    retention: Retention = NOT_RETAINED
    legal_hold: str = ""
    annotations: tuple[Annotation, ...] = ()  # of a copy: shared with its source


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """What must hold of a version for a write to replace it, or a delete to remove it.

    RFC 9110, 13.1; size and time are those of DeleteObject and DeleteObjects.
    """

    if_match: str | None = None  # ETag without quotes, or "*"
    if_none_match: bool = False  # If-None-Match: * (S3 allows nothing else)
    if_size: int | None = None  # bytes
    if_modified_s: int | None = None  # Last-Modified as clients are told it, seconds since 1970
    if_record: ObjectRecord | None = None  # the very same, with its tags and lock

    def verify(self, current: ObjectRecord | None, key: str) -> None:
        """Raise PreconditionFailed, or NoSuchKey where a version is wanted and none is there."""
        if self.if_none_match and current is not None:
            raise PreconditionFailed(Condition="If-None-Match")
        if current is None:
            wanted = (self.if_match, self.if_size, self.if_modified_s, self.if_record)
            if any(each is not None for each in wanted):
                raise NoSuchKey(Key=key)
            return
        if self.if_match is not None and self.if_match not in ("*", current.etag):
            raise PreconditionFailed(Condition="If-Match")
        if self.if_size is not None and self.if_size != current.size:
            raise PreconditionFailed(Condition="x-amz-if-match-size")
        if self.if_modified_s is not None and self.if_modified_s != current.modified_ms // 1000:
            raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
        if self.if_record is not None and self.if_record != current:
            raise PreconditionFailed


UNCONDITIONAL = WriteCondition()


@dataclass(slots=True)
class NewVersion:
    """A version about to be committed: how the record looks, and what goes with it."""

    size: int
    etag: str
    attributes: Attributes
    blob: bytes = b""
    checksums: Pairs = ()
    checksum_type: str = ""
    part_count: int = 0
    condition: WriteCondition = UNCONDITIONAL
    uploads: int = 0  # in progress, by how many more with it
    part_bytes: int = 0  # and of their parts
    writes: list[Write] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete did."""

    removed: ObjectRecord | None = None  # the version that is gone for good
    marker: ObjectRecord | None = None  # the delete marker that is now the current version


class Objects:
    """The versions of all keys."""

    def __init__(
        self,
        meta: MetadataStore,
        blobs: Blobs,
        *,
        clock: Clock,
        notifications: Notifications | None = None,
        calendar: Calendar = Calendar(),  # noqa: B008 (frozen)
    ) -> None:
        self._meta, self._blobs, self._clock = meta, blobs, clock
        self.notifications = notifications or Notifications(meta, clock=clock)
        self.versions = Versions(meta, blobs, clock=clock, calendar=calendar)
        self._commit = Commits(meta)
        self._quotas = Quotas(meta)

    async def put(
        self,
        bucket: BucketRecord,
        key: str,
        body: Upload,
        attributes: Attributes,
        condition: WriteCondition = UNCONDITIONAL,
    ) -> ObjectRecord:
        """Store an object. On return its bytes and its record are on stable storage.

        Raises what `body` raises, PreconditionFailed, NoSuchBucket, InvalidStorageClass,
        QuotaExceeded; then nothing has changed.
        """
        if condition is not UNCONDITIONAL:  # refused before the body is read where possible
            condition.verify(await self.find(bucket, key), key)
        pool = self._blobs.pool_of(bucket, attributes.storage_class)
        await self.foresee(bucket, key, body.size, attributes)
        ref = await self._blobs.write(pool, body, attributes.data_key)
        return await self.commit_bytes(
            bucket,
            key,
            ref,
            NewVersion(
                size=body.size,
                etag=etag_of(body.etag, attributes.encryption, attributes.data_key),
                attributes=attributes,
                checksums=body.checksums,
                checksum_type="FULL_OBJECT",
                condition=condition,
            ),
        )

    async def foresee(
        self, bucket: BucketRecord, key: str, size: int, attributes: Attributes
    ) -> None:
        """Raise QuotaExceeded where a version of this size would exceed a quota now."""
        if await self._quotas.may_limit(bucket, attributes.owner):
            draft = NewVersion(size=size, etag="", attributes=attributes)
            plan = await self.plan_version(bucket, key, draft)
            await self._quotas.verify(plan.checks, plan.writes)

    async def commit_bytes(
        self, bucket: BucketRecord, key: str, ref: DataRef | None, version: NewVersion
    ) -> ObjectRecord:
        """Commit a version whose bytes were just written; they are freed if that fails."""
        if ref is not None:
            version.blob = ref.blob
            version.writes += self._blobs.adopt(ref)

        async def plan() -> Plan[ObjectRecord]:
            return await self.plan_version(bucket, key, version)

        return await self._blobs.commit_or_discard([] if ref is None else [ref], plan)

    async def plan_version(
        self, bucket: BucketRecord, key: str, version: NewVersion
    ) -> Plan[ObjectRecord]:
        """Return the plan that makes `version` the current one of the key.

        LastModified never goes backwards within a key, whatever the clock does.
        """
        stack = await self.versions.open(bucket, key)
        version.condition.verify(stack.current, key)
        attributes = version.attributes
        held = self.retention_in(stack.bucket, attributes.retention)
        record = ObjectRecord(
            **self.next_version(stack),
            size=version.size,
            etag=version.etag,
            owner=attributes.owner,
            blob=version.blob,
            headers=attributes.headers,
            metadata=attributes.metadata,
            checksums=version.checksums,
            checksum_type=version.checksum_type,
            part_count=version.part_count,
            acl=attributes.acl,
            grants=attributes.grants,
            storage_class=attributes.storage_class,
            tags=attributes.tags,
            retention_mode=held.mode,
            retain_until_ms=held.until_ms,
            legal_hold=attributes.legal_hold,
            encryption=attributes.encryption,
            annotations=attributes.annotations,
        )
        shared = await self._blobs.share_all(each.blob for each in attributes.annotations)
        await self.versions.push(stack, record)
        stack.tally.add(record.owner, uploads=version.uploads, part_bytes=version.part_bytes)
        quotas = await self._quotas.checks(stack.tally)
        caused = await self.notifications.of(stack.bucket, attributes.cause, key, record)
        return Plan(
            result=record,
            writes=[*version.writes, *shared[0], *stack.writes, *caused.writes],
            checks=[*stack.checks, *shared[1], *version.checks, *quotas],
            after=caused.after,
        )

    def retention_in(self, bucket: BucketRecord, own: Retention) -> Retention:
        """Return the retention of a new version, which may bring one of its own."""
        return own if own.mode else default_retention(bucket, self._clock.now_ms())

    def next_version(self, stack: Stack) -> dict[str, Any]:
        """Return place, id and time of a version that goes on top."""
        now, top = self._clock.now_ms(), None if stack.top is None else stack.top.record
        sequence = self._blobs.ids.sequence_after(0 if top is None else top.sequence)
        is_named = stack.bucket.versioning == "Enabled"
        return {
            "sequence": sequence,
            "version_id": format_version_id(sequence) if is_named else "",
            "modified_ms": now if top is None else max(now, top.modified_ms + 1),
        }

    async def find(
        self, bucket: BucketRecord, key: str, version_id: str | None = None
    ) -> ObjectRecord | None:
        """Return the current version of a key, or the one with an id (be it a delete marker).

        None where there is none. Raises InvalidArgument for what is no version id.
        """
        if version_id is not None:
            found = await self.versions.find(bucket, key, version_id)
            return None if found is None else found.record
        row = await self._meta.get(records.object_key(bucket.id, key))
        return None if row is None else decode(ObjectRecord, row)

    async def get(
        self, bucket: BucketRecord, key: str, version_id: str | None = None
    ) -> ObjectRecord:
        """Return the version that locate() finds."""
        if version_id is None:  # what nearly every read asks for, without detours
            row = await self._meta.get(records.object_key(bucket.id, key))
            if row is not None:
                return decode(ObjectRecord, row)
        return (await self.locate(bucket, key, version_id)).record

    async def locate(
        self, bucket: BucketRecord, key: str, version_id: str | None = None
    ) -> Located:
        """Return a version that has content: the current one, or the one with an id.

        Raises NoSuchKey, NoSuchVersion, and MethodNotAllowed for a delete marker by its id, which
        say in their headers where they met a delete marker; InvalidArgument.
        """
        if version_id is None:
            row_key = records.object_key(bucket.id, key)
            row = await self._meta.get(row_key)
            if row is not None:
                return Located(row_key, row, decode(ObjectRecord, row))
            marker = await self.versions.marker(bucket, key)
            raise NoSuchKey(Key=key, headers={} if marker is None else _marker_headers(marker))
        found = await self.versions.find(bucket, key, version_id)
        if found is None:
            raise NoSuchVersion(Key=key, VersionId=version_id)
        if found.record.is_delete_marker:
            modified = formatdate(found.record.modified_ms / 1000, usegmt=True)
            named = {"last-modified": modified, "allow": "DELETE"}
            raise MethodNotAllowed(headers=_marker_headers(found.record) | named)
        return found

    async def amend(
        self,
        bucket: BucketRecord,
        key: str,
        version_id: str | None,
        change: Callable[[ObjectRecord], ObjectRecord],
        cause: Cause | None = None,
    ) -> ObjectRecord:
        """Store what `change` makes of a version that has content; return that.

        `change` may raise, and may be called again where others changed the version meanwhile.
        Where it changes nothing, nothing is written and no event is caused. Raises what locate()
        raises, SlowDown.
        """

        async def plan() -> Plan[ObjectRecord]:
            bucket_key = records.bucket_key(bucket.name)
            bucket_row = await self._meta.get(bucket_key)
            found = await self.locate(bucket, key, version_id)
            changed = change(found.record)
            checks = [found.check, Unchanged(bucket_key, bucket_row)]
            if changed == found.record:
                return Plan(result=changed, checks=checks)
            now = same_bucket(bucket, bucket_row)
            touch = self.versions.touch(now, key)
            caused = await self.notifications.of(now, cause, key, changed)
            return Plan(
                result=changed,
                writes=[Put(found.key, encode(changed)), *touch, *caused.writes],
                checks=checks,
                after=caused.after,
            )

        return await self._commit(plan)

    async def delete(
        self,
        bucket: BucketRecord,
        key: str,
        version_id: str | None = None,
        *,
        owner: str = "",
        condition: WriteCondition = UNCONDITIONAL,
        cause: Cause | None = None,
        bypass: bool = False,
    ) -> Deleted:
        """Delete a key, or one version of it for good.

        Without a version id, a bucket with versions gets a delete marker of `owner`'s; what is not
        there is no error without a condition. The condition is on the version that is named, else
        on the current one. `bypass` lifts governance. The event of `cause` is "ObjectRemoved" or
        "LifecycleExpiration", to which is added what was done. Raises InvalidArgument for what is
        no version id, NoSuchBucket, PreconditionFailed, NoSuchKey, AccessDenied for what is locked.
        """

        async def plan() -> Plan[Deleted]:
            stack = await self.versions.open(bucket, key)
            if version_id is None:
                condition.verify(stack.current, key)
                deleted = await self.delete_current(stack, owner, bypass=bypass)
            else:
                version = await self.versions.find(stack.bucket, key, version_id)
                condition.verify(None if version is None else version.record, key)
                deleted = Deleted()
                if version is not None:
                    await self.versions.remove(stack, version, bypass=bypass)
                    deleted = Deleted(removed=version.record)
            caused = await self.events_of_deletion(stack.bucket, cause, key, deleted)
            return Plan(
                result=deleted,
                writes=[*stack.writes, *caused.writes],
                checks=stack.checks,
                after=caused.after,
            )

        return await self._commit(plan)

    async def delete_current(self, stack: Stack, owner: str, *, bypass: bool = False) -> Deleted:
        """Plan that a key has no current version: by a delete marker where there are versions."""
        if stack.bucket.versioning:
            marker = ObjectRecord(
                **self.next_version(stack), size=0, etag="", owner=owner, is_delete_marker=True
            )
            await self.versions.push(stack, marker)
            return Deleted(marker=marker)
        if stack.top is None:
            return Deleted()
        await self.versions.remove(stack, stack.top, bypass=bypass)
        return Deleted(removed=stack.top.record)

    async def events_of_deletion(
        self, bucket: BucketRecord, cause: Cause | None, key: str, deleted: Deleted
    ) -> Caused:
        """Return what a deletion adds to its commit for its event."""
        record = deleted.marker or deleted.removed
        if cause is None or record is None:
            return Caused()
        what = "DeleteMarkerCreated" if deleted.marker is not None else "Delete"
        named = structs.replace(cause, event=f"{cause.event}:{what}")
        return await self.notifications.of(bucket, named, key, record)

    async def blob_of(self, record: ObjectRecord) -> BlobRecord:
        """Return the blob of a version that has bytes.

        A version that was overwritten a moment ago may have lost its blob: then NoSuchKey is as
        true an answer as the old bytes would have been.
        """
        blob = await self._blobs.load(record.blob)
        if blob is None:
            raise NoSuchKey
        return blob

    def read(self, blob: BlobRecord, start: int, stop: int, key: bytes = b"") -> Awaitable[bytes]:
        """Return bytes [start, stop) of a blob, verified. For spans of up to some MiB.

        `key` is the data key of an encrypted object.
        """
        return self._blobs.read(blob, start, stop, key)

    def read_now(self, blob: BlobRecord) -> bytes | None:
        """Return all of a blob, verified, if that needs no waiting, else None."""
        return self._blobs.read_now(blob)

    def stream(
        self, blob: BlobRecord, start: int, stop: int, key: bytes = b""
    ) -> AsyncGenerator[bytes, None]:
        """Yield bytes [start, stop) of a blob, each piece verified before it is yielded."""
        return self._blobs.stream(blob, start, stop, key)


def _marker_headers(marker: ObjectRecord) -> dict[str, str]:
    return {
        "x-amz-delete-marker": "true",
        "x-amz-version-id": marker.version_id or NULL_VERSION,
    }
