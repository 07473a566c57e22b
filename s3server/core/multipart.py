"""Multipart uploads: parts become the pieces of a composite blob, no byte is written twice.

Every change of an upload's parts also adds to the upload's revision, a counter. Complete and
abort check it, so that a part that arrives meanwhile can neither be lost nor left behind.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.etags import etag_of
from s3server.core.locks import Retention
from s3server.core.notifications import Cause
from s3server.core.objects import (
    Attributes,
    NewVersion,
    Objects,
    Pairs,
    WriteCondition,
)
from s3server.core.quotas import Quotas
from s3server.core.records import (
    BlobPart,
    BlobRecord,
    BucketRecord,
    ObjectRecord,
    PartRecord,
    UploadRecord,
    decode,
    encode,
)
from s3server.core.tally import Tally
from s3server.core.versions import same_bucket
from s3server.errors import EntityTooSmall, InvalidPart, InvalidPartOrder, NoSuchUpload
from s3server.meta.base import Add, Delete, MetadataStore, Put, Unchanged, Write, after_prefix
from s3server.model import DataRef, Upload

MAX_PARTS = 10_000
MIN_PART_BYTES = 5 * 1024 * 1024  # all but the last; S3 User Guide, "multipart upload limits"


@dataclass(frozen=True, slots=True)
class ChosenPart:
    """A part as CompleteMultipartUpload names it."""

    number: int
    etag: str  # without quotes
    checksums: Pairs = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """The checksum of a whole object, computed from those of its parts."""

    checksums: Pairs = ()
    checksum_type: str = ""


# Given an upload and the parts chosen: the checksum of the whole. Raises where it disagrees with
# what the client expects.
Summarise = Callable[[UploadRecord, Sequence[PartRecord]], Digest]


def plain_only(encryption: bytes) -> bytes:
    """Return no data key; ValueError where the upload is encrypted and needs one."""
    if encryption:
        raise ValueError("parts of an encrypted upload need its data key")
    return b""


class Multipart:
    """Multipart uploads of one store."""

    def __init__(
        self, meta: MetadataStore, blobs: Blobs, objects: Objects, *, clock: Clock
    ) -> None:
        self._meta, self._blobs, self._objects, self._clock = meta, blobs, objects, clock
        self._quotas = Quotas(meta)
        self._commit = Commits(meta)

    async def create(
        self,
        bucket: BucketRecord,
        key: str,
        attributes: Attributes,
        *,
        checksum_algorithm: str = "",
        checksum_type: str = "",
    ) -> UploadRecord:
        """Begin an upload. Raises NoSuchBucket, InvalidStorageClass, QuotaExceeded."""
        self._blobs.pool_of(bucket, attributes.storage_class)
        upload = UploadRecord(
            id=self._blobs.ids.upload_id(),
            key=key,
            owner=attributes.owner,
            started_ms=self._clock.now_ms(),
            headers=attributes.headers,
            metadata=attributes.metadata,
            checksum_algorithm=checksum_algorithm,
            checksum_type=checksum_type,
            acl=attributes.acl,
            grants=attributes.grants,
            storage_class=attributes.storage_class,
            tags=attributes.tags,
            retention_mode=attributes.retention.mode,
            retain_until_ms=attributes.retention.until_ms,
            legal_hold=attributes.legal_hold,
            encryption=attributes.encryption,
        )
        bucket_key = records.bucket_key(bucket.name)

        async def plan() -> Plan[UploadRecord]:
            bucket_row = await self._meta.get(bucket_key)
            touch = self._objects.versions.touch(same_bucket(bucket, bucket_row), key)
            row_key = records.upload_key(bucket.id, key, upload.id)
            tally = Tally(bucket)
            tally.add(upload.owner, uploads=1)
            return Plan(
                result=upload,
                writes=[Put(row_key, encode(upload)), *tally.writes, *touch],
                checks=[Unchanged(bucket_key, bucket_row), *await self._quotas.checks(tally)],
            )

        return await self._commit(plan)

    async def find(self, bucket: BucketRecord, key: str, upload_id: str) -> UploadRecord | None:
        """Return an upload in progress; None where there is none of this id."""
        row = await self._meta.get(records.upload_key(bucket.id, key, parse_upload_id(upload_id)))
        return None if row is None else decode(UploadRecord, row)

    async def get(self, bucket: BucketRecord, key: str, upload_id: str) -> UploadRecord:
        """Return an upload in progress. Raises NoSuchUpload."""
        return (await self._load(bucket, key, upload_id))[0]

    async def _load(
        self, bucket: BucketRecord, key: str, upload_id: str
    ) -> tuple[UploadRecord, bytes, bytes]:
        """Return the upload, its key and its row."""
        row_key = records.upload_key(bucket.id, key, parse_upload_id(upload_id))
        row = await self._meta.get(row_key)
        if row is None:
            raise NoSuchUpload(UploadId=upload_id)
        return decode(UploadRecord, row), row_key, row

    async def put_part(
        self,
        bucket: BucketRecord,
        key: str,
        upload_id: str,
        number: int,
        body: Upload,
        *,
        data_key: Callable[[bytes], bytes] = plain_only,
    ) -> PartRecord:
        """Store a part, in place of an earlier one of its number.

        Raises NoSuchUpload, QuotaExceeded.

        `data_key` returns the key that goes with an upload's encryption, or raises.
        """
        upload = await self.get(bucket, key, upload_id)
        await self.foresee_part(bucket, key, upload_id, number, body.size)
        key_of_bytes = data_key(upload.encryption)
        ref = await self._blobs.write(self.pool_of(bucket, upload), body, key_of_bytes)
        etag = etag_of(body.etag, upload.encryption, key_of_bytes)
        part = self.part(number, body.size, etag, body.checksums)
        return await self.commit_part(bucket, key, upload_id, ref, part)

    def pool_of(self, bucket: BucketRecord, upload: UploadRecord) -> str:
        """Return the pool that the parts of an upload go to."""
        return self._blobs.pool_of(bucket, upload.storage_class)

    def part(self, number: int, size: int, etag: str, checksums: Pairs = ()) -> PartRecord:
        """Return the record of a part uploaded now."""
        now = self._clock.now_ms()
        return PartRecord(number=number, size=size, etag=etag, modified_ms=now, checksums=checksums)

    async def commit_part(
        self,
        bucket: BucketRecord,
        key: str,
        upload_id: str,
        ref: DataRef | None,
        part: PartRecord,
    ) -> PartRecord:
        """Commit a part whose bytes were just written; they are freed if that fails."""
        part = replace(part, blob=b"" if ref is None else ref.blob)

        async def plan() -> Plan[PartRecord]:
            return await self._plan_part(bucket, key, upload_id, ref, part)

        return await self._blobs.commit_or_discard([] if ref is None else [ref], plan)

    async def foresee_part(
        self, bucket: BucketRecord, key: str, upload_id: str, number: int, size: int
    ) -> None:
        """Raise QuotaExceeded where a part of this size would exceed a quota now."""
        plan = await self._plan_part(bucket, key, upload_id, None, self.part(number, size, ""))
        await self._quotas.verify(plan.checks, plan.writes)

    async def _plan_part(
        self,
        bucket: BucketRecord,
        key: str,
        upload_id: str,
        ref: DataRef | None,
        part: PartRecord,
    ) -> Plan[PartRecord]:
        upload, row_key, row = await self._load(bucket, key, upload_id)
        part_key = records.part_key(upload.id, part.number)
        old_row = await self._meta.get(part_key)
        old = None if old_row is None else decode(PartRecord, old_row)
        tally, given_up = Tally(bucket), list[Write]()
        tally.add(upload.owner, part_bytes=part.size - (0 if old is None else old.size))
        if old is not None:
            given_up = self._blobs.give_up(old.blob, project=bucket.account, size=old.size)
        return Plan(
            result=part,
            writes=[
                Put(part_key, encode(part)),
                *self._blobs.adopt(ref),
                *given_up,
                *tally.writes,
                Add(_revision_key(upload.id), 1),
            ],
            checks=[
                Unchanged(row_key, row),
                Unchanged(part_key, old_row),
                *await self._quotas.checks(tally),
            ],
        )

    async def parts(
        self, upload_id: bytes, *, after: int = 0, limit: int = MAX_PARTS
    ) -> list[PartRecord]:
        """Return the parts with numbers above `after`, in their order."""
        start = records.part_key(upload_id, min(max(after, 0), MAX_PARTS) + 1)
        rows = await self._meta.scan(start, after_prefix(records.PART + upload_id), limit=limit)
        return [decode(PartRecord, row) for _, row in rows]

    async def abort(self, bucket: BucketRecord, key: str, upload_id: str) -> None:
        """Give up an upload and its parts. Raises NoSuchUpload."""

        async def plan() -> Plan[None]:
            upload, row_key, row = await self._load(bucket, key, upload_id)
            revision = await self._meta.get(_revision_key(upload.id))
            parts = await self.parts(upload.id)
            tally = Tally(bucket)
            tally.add(upload.owner, uploads=-1, part_bytes=-_size(parts))
            return Plan(
                result=None,
                writes=[
                    Delete(row_key),
                    *_forget(upload.id, parts),
                    *self._give_up(bucket, parts),
                    *tally.writes,
                ],
                checks=[
                    Unchanged(row_key, row),
                    Unchanged(_revision_key(upload.id), revision),
                ],
            )

        await self._commit(plan)

    async def complete(
        self,
        bucket: BucketRecord,
        key: str,
        upload_id: str,
        chosen: Sequence[ChosenPart],
        *,
        summarise: Summarise,
        condition: WriteCondition,
        cause: Cause | None = None,
    ) -> ObjectRecord:
        """Make the chosen parts the current version of the key; return its record.

        A retry after the answer was lost finds the object that it made (its composite blob
        carries the upload's id) and is told the same again; who names other parts is not. Raises
        NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, PreconditionFailed.
        """

        async def plan() -> Plan[ObjectRecord]:
            try:
                upload, row_key, row = await self._load(bucket, key, upload_id)
            except NoSuchUpload:
                done = await self._objects.find(bucket, key)
                if done is None or done.blob != parse_upload_id(upload_id):
                    raise
                if done.etag != multipart_etag(chosen):
                    raise
                return Plan(result=done)
            revision = await self._meta.get(_revision_key(upload.id))
            parts = await self.parts(upload.id)
            used = choose_parts(parts, chosen)
            version = self._version(upload, used, summarise(upload, used), condition)
            version.attributes = dataclasses.replace(version.attributes, cause=cause)
            kept = {part.number for part in used}
            left = [part for part in parts if part.number not in kept]
            version.uploads, version.part_bytes = -1, -_size(parts)
            version.writes += [
                Delete(row_key),
                *_forget(upload.id, parts),
                *self._give_up(bucket, left),
            ]
            version.checks += [
                Unchanged(row_key, row),
                Unchanged(_revision_key(upload.id), revision),
            ]
            return await self._objects.plan_version(bucket, key, version)

        return await self._commit(plan)

    def _give_up(self, bucket: BucketRecord, parts: Sequence[PartRecord]) -> list[Write]:
        blobs = (part.blob for part in parts)
        return self._blobs.give_up(*blobs, project=bucket.account, size=_size(parts))

    def _version(
        self,
        upload: UploadRecord,
        parts: Sequence[PartRecord],
        digest: Digest,
        condition: WriteCondition,
    ) -> NewVersion:
        size = _size(parts)
        composite = BlobRecord(
            size=size,
            parts=tuple(
                BlobPart(part.blob, part.size, part.number, _only_checksum(part)) for part in parts
            ),
        )
        return NewVersion(
            size=size,
            etag=multipart_etag(parts),
            attributes=Attributes(
                owner=upload.owner,
                headers=upload.headers,
                metadata=upload.metadata,
                acl=upload.acl,
                grants=upload.grants,
                storage_class=upload.storage_class,
                tags=upload.tags,
                retention=Retention(upload.retention_mode, upload.retain_until_ms),
                legal_hold=upload.legal_hold,
                encryption=upload.encryption,
            ),
            blob=upload.id,
            checksums=digest.checksums,
            checksum_type=digest.checksum_type,
            part_count=len(parts),
            condition=condition,
            writes=[Put(records.blob_key(upload.id), encode(composite))],
        )


def choose_parts(parts: Sequence[PartRecord], chosen: Sequence[ChosenPart]) -> list[PartRecord]:
    """Return the records of the chosen parts, verified as S3 does before it completes."""
    by_number = {part.number: part for part in parts}
    used: list[PartRecord] = []
    for choice in chosen:
        if used and choice.number <= used[-1].number:
            raise InvalidPartOrder
        part = by_number.get(choice.number)
        agrees = part is not None and part.etag == choice.etag
        if part is None or not agrees or not set(choice.checksums) <= set(part.checksums):
            raise InvalidPart(PartNumber=str(choice.number), ETag=choice.etag)
        used.append(part)
    for part in used[:-1]:
        if part.size < MIN_PART_BYTES:
            raise EntityTooSmall(
                ProposedSize=str(part.size),
                MinSizeAllowed=str(MIN_PART_BYTES),
                PartNumber=str(part.number),
                ETag=part.etag,
            )
    return used


def multipart_etag(parts: Sequence[PartRecord] | Sequence[ChosenPart]) -> str:
    """Return the ETag of a completed upload: MD5 of the parts' MD5s, "-", their count.

    It is "" where a client names one by what is no ETag of a part.
    """
    try:
        joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def format_upload_id(upload_id: bytes) -> str:
    """Return the form of an upload id that clients see."""
    return upload_id.hex()


def parse_upload_id(upload_id: str) -> bytes:
    """Return the stored form of an upload id. Raises NoSuchUpload for what none of ours is."""
    try:
        parsed = bytes.fromhex(upload_id)
    except ValueError:
        parsed = b""
    if len(parsed) != 16 or parsed.hex() != upload_id:
        raise NoSuchUpload(UploadId=upload_id)
    return parsed


def _size(parts: Sequence[PartRecord]) -> int:
    return sum(part.size for part in parts)


def _revision_key(upload_id: bytes) -> bytes:
    return records.part_key(upload_id, 0)


def _forget(upload_id: bytes, parts: Sequence[PartRecord]) -> list[Write]:
    keys = [_revision_key(upload_id)]
    keys += [records.part_key(upload_id, part.number) for part in parts]
    return [Delete(key) for key in keys]


def _only_checksum(part: PartRecord) -> str:
    return part.checksums[0][1] if part.checksums else ""
