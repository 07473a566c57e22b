"""Objects: put, find, read, delete. One commit decides each change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass, field

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.records import BlobRecord, BucketRecord, ObjectRecord, decode, encode
from s3server.errors import NoSuchBucket, NoSuchKey, PreconditionFailed
from s3server.meta.base import Add, Check, Delete, MetadataStore, Put, Unchanged, Write
from s3server.model import DataRef, Upload

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client says about an object beside its bytes."""

    owner: str
    headers: Pairs = ()  # system headers by their names in the model: ("ContentType", "text/csv")
    metadata: Pairs = ()
    acl: str = ""
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """What must hold of the current version for a write to take place (RFC 9110, 13.1)."""

    if_match: str | None = None  # ETag without quotes, or "*"
    if_none_match: bool = False  # If-None-Match: * (S3 allows nothing else)

    def verify(self, current: ObjectRecord | None, key: str) -> None:
        """Raise PreconditionFailed, or NoSuchKey where If-Match names no version at all."""
        if self.if_none_match and current is not None:
            raise PreconditionFailed(Condition="If-None-Match")
        if self.if_match is not None:
            if current is None:
                raise NoSuchKey(Key=key)
            if self.if_match not in ("*", current.etag):
                raise PreconditionFailed(Condition="If-Match")


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
    writes: list[Write] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


class Objects:
    """The current versions of all keys."""

    def __init__(self, meta: MetadataStore, blobs: Blobs, *, clock: Clock) -> None:
        self._meta, self._blobs, self._clock = meta, blobs, clock
        self._commit = Commits(meta)

    async def put(
        self,
        bucket: BucketRecord,
        key: str,
        body: Upload,
        attributes: Attributes,
        condition: WriteCondition = UNCONDITIONAL,
    ) -> ObjectRecord:
        """Store an object. On return its bytes and its record are on stable storage.

        Raises what `body` raises, PreconditionFailed, NoSuchBucket; then nothing has changed.
        """
        if condition is not UNCONDITIONAL:  # refused before the body is read where possible
            condition.verify(await self.find(bucket, key), key)
        ref = await self._blobs.write(bucket.pool, body)
        return await self.commit_bytes(
            bucket,
            key,
            ref,
            NewVersion(
                size=body.size,
                etag=body.etag,
                attributes=attributes,
                checksums=body.checksums,
                checksum_type="FULL_OBJECT",
                condition=condition,
            ),
        )

    async def commit_bytes(
        self, bucket: BucketRecord, key: str, ref: DataRef | None, version: NewVersion
    ) -> ObjectRecord:
        """Commit a version whose bytes were just written; they are freed if that fails."""
        if ref is not None:
            version.blob = ref.blob
            version.writes += self._blobs.adopt(ref)

        async def plan() -> Plan[ObjectRecord]:
            return await self.plan_version(bucket, key, version)

        return await self._blobs.commit_or_discard(ref, plan)

    async def plan_version(
        self, bucket: BucketRecord, key: str, version: NewVersion
    ) -> Plan[ObjectRecord]:
        """Return the plan that makes `version` the current one of the key.

        LastModified never goes backwards within a key, whatever the clock does.
        """
        bucket_key, object_key = records.bucket_key(bucket.name), records.object_key(bucket.id, key)
        bucket_row, current_row = await self._meta.get_many((bucket_key, object_key))
        verify_same_bucket(bucket, bucket_row)
        current = None if current_row is None else decode(ObjectRecord, current_row)
        version.condition.verify(current, key)
        now = self._clock.now_ms()
        record = ObjectRecord(
            sequence=1 if current is None else current.sequence + 1,
            size=version.size,
            etag=version.etag,
            modified_ms=now if current is None else max(now, current.modified_ms + 1),
            owner=version.attributes.owner,
            blob=version.blob,
            headers=version.attributes.headers,
            metadata=version.attributes.metadata,
            checksums=version.checksums,
            checksum_type=version.checksum_type,
            part_count=version.part_count,
            acl=version.attributes.acl,
            storage_class=version.attributes.storage_class,
        )
        return Plan(
            result=record,
            writes=[
                Put(object_key, encode(record)),
                *version.writes,
                *self._replace(current),
                *count(bucket.id, current, record),
            ],
            checks=[
                Unchanged(bucket_key, bucket_row),
                Unchanged(object_key, current_row),
                *version.checks,
            ],
        )

    def _replace(self, current: ObjectRecord | None) -> list[Write]:
        return [] if current is None else self._blobs.give_up(current.blob)

    async def find(self, bucket: BucketRecord, key: str) -> ObjectRecord | None:
        """Return the current version of a key, or None."""
        row = await self._meta.get(records.object_key(bucket.id, key))
        return None if row is None else decode(ObjectRecord, row)

    async def get(self, bucket: BucketRecord, key: str) -> ObjectRecord:
        """Return the current version of a key. Raises NoSuchKey."""
        record = await self.find(bucket, key)
        if record is None:
            raise NoSuchKey(Key=key)
        return record

    async def delete(self, bucket: BucketRecord, key: str) -> ObjectRecord | None:
        """Delete a key; return what was there, None where nothing was."""
        object_key = records.object_key(bucket.id, key)

        async def plan() -> Plan[ObjectRecord | None]:
            row = await self._meta.get(object_key)
            if row is None:
                return Plan(result=None)
            current = decode(ObjectRecord, row)
            return Plan(
                result=current,
                writes=[
                    Delete(object_key),
                    *self._blobs.give_up(current.blob),
                    *count(bucket.id, current, None),
                ],
                checks=[Unchanged(object_key, row)],
            )

        return await self._commit(plan)

    async def blob_of(self, record: ObjectRecord) -> BlobRecord:
        """Return the blob of a version that has bytes.

        A version that was overwritten a moment ago may have lost its blob: then NoSuchKey is as
        true an answer as the old bytes would have been.
        """
        blob = await self._blobs.load(record.blob)
        if blob is None:
            raise NoSuchKey
        return blob

    def read(self, blob: BlobRecord, start: int, stop: int) -> Awaitable[bytes]:
        """Return bytes [start, stop) of a blob, verified. For spans of up to some MiB."""
        return self._blobs.read(blob, start, stop)

    def stream(self, blob: BlobRecord, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield bytes [start, stop) of a blob, each piece verified before it is yielded."""
        return self._blobs.stream(blob, start, stop)


def count(
    bucket_id: bytes, before: ObjectRecord | None, after: ObjectRecord | None
) -> Sequence[Write]:
    """Return the changes of a bucket's counters when `after` takes the place of `before`."""
    objects = (after is not None) - (before is not None)
    size = (after.size if after else 0) - (before.size if before else 0)
    writes = []
    if objects:
        writes.append(Add(records.counter_key(bucket_id, "objects"), objects))
    if size:
        writes.append(Add(records.counter_key(bucket_id, "bytes"), size))
    return writes


def verify_same_bucket(bucket: BucketRecord, row: bytes | None) -> None:
    """Raise NoSuchBucket unless `row` still is the bucket that the request began with."""
    if row is None or decode(BucketRecord, row).id != bucket.id:
        raise NoSuchBucket(BucketName=bucket.name)
