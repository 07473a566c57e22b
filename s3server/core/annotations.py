"""Annotations: named texts that belong to a version of an object, and go with it.

They stand in the version's own record, each with a blob of its own, so that whatever copies,
renames, locks or removes the version does it to them too, in the same commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.keys import read_envelope
from s3server.core.locks import check_removable
from s3server.core.objects import Objects
from s3server.core.quotas import Quotas
from s3server.core.record_parts import Annotation
from s3server.core.records import BucketRecord, ObjectRecord, encode
from s3server.core.versions import Located, Stack
from s3server.errors import InvalidRequest, PreconditionFailed, S3Error
from s3server.meta.base import MetadataStore, Put
from s3server.model import Upload

MAX_ANNOTATIONS = 1_000  # of a version


class NoSuchAnnotation(S3Error):
    """The version has no annotation of this name."""

    status = 404
    message = "The specified annotation does not exist."


class AnnotationNameTooLong(S3Error):
    """A name has at most 512 bytes."""

    status = 400
    message = "The name of the annotation is too long."


class InvalidAnnotationName(S3Error):
    """A name is printable, and begins with neither "aws" nor "s3"."""

    status = 400
    message = "The name of the annotation is not valid."


class AnnotationLimitExceeded(S3Error):
    """A version has at most 1,000 annotations."""

    status = 400
    message = "The object has as many annotations as it may have."


@dataclass(frozen=True, slots=True)
class Owner:
    """The version that annotations belong to."""

    bucket: BucketRecord
    key: str
    confirm: Callable[[ObjectRecord], None]  # raises AccessDenied where this version is not to be
    version_id: str | None = None  # None: the current one
    if_match: str | None = None  # its ETag, without quotes, or "*"
    bypass: bool = False  # lifts governance, where one is removed or replaced


@dataclass(frozen=True, slots=True)
class Sealed:
    """How the bytes of a new annotation are encrypted; not at all by default."""

    encryption: bytes = b""
    data_key: bytes = b""


PLAIN = Sealed()


def find(record: ObjectRecord, name: str) -> Annotation:
    """Return an annotation by its name. Raises NoSuchAnnotation."""
    for annotation in record.annotations:
        if annotation.name == name:
            return annotation
    raise NoSuchAnnotation(AnnotationName=name)


class Annotations:
    """The annotations of all versions."""

    def __init__(
        self, meta: MetadataStore, blobs: Blobs, objects: Objects, *, clock: Clock
    ) -> None:
        self._blobs, self._objects, self._clock = blobs, objects, clock
        self._commit = Commits(meta)
        self._quotas = Quotas(meta)

    async def put(
        self, owner: Owner, name: str, body: Upload, sealed: Sealed = PLAIN
    ) -> tuple[ObjectRecord, Annotation]:
        """Attach an annotation, or replace the one of this name. On return it is durable.

        Raises what `body` raises, InvalidRequest for objects of clients' keys, NoSuchKey,
        NoSuchVersion, PreconditionFailed, AnnotationLimitExceeded, QuotaExceeded, and AccessDenied
        where one that is locked would be replaced.
        """
        ref = await self._blobs.write(owner.bucket.pool, body, sealed.data_key)

        async def plan() -> Plan[tuple[ObjectRecord, Annotation]]:
            stack, found = await self._open(owner)
            if found.record.encryption and read_envelope(found.record.encryption).is_customers:
                raise InvalidRequest("Objects encrypted with SSE-C cannot have annotations.")
            old = [each for each in found.record.annotations if each.name == name]
            kept = [each for each in found.record.annotations if each.name != name]
            if old:
                check_removable(found.record, self._clock.now_ms(), bypass=owner.bypass)
            if len(kept) >= MAX_ANNOTATIONS:
                raise AnnotationLimitExceeded
            made = Annotation(
                name=name,
                size=body.size,
                etag=body.etag,
                modified_ms=self._clock.now_ms(),
                blob=b"" if ref is None else ref.blob,
                checksums=body.checksums,
                encryption=sealed.encryption,
            )
            changed = self._change(stack, found, [*kept, made])
            stack.changes += self._blobs.adopt(ref)
            self._give_up(stack, old)
            quotas = await self._quotas.checks(stack.tally)
            return Plan((changed, made), stack.writes, [*stack.checks, found.check, *quotas])

        return await self._blobs.commit_or_discard([] if ref is None else [ref], plan)

    async def remove(self, owner: Owner, name: str) -> ObjectRecord:
        """Remove an annotation for good; that there was none is no error. Return the version.

        Raises NoSuchKey, NoSuchVersion, PreconditionFailed, AccessDenied where it is locked.
        """

        async def plan() -> Plan[ObjectRecord]:
            stack, found = await self._open(owner)
            kept = [each for each in found.record.annotations if each.name != name]
            gone = [each for each in found.record.annotations if each.name == name]
            changed = found.record
            if gone:
                check_removable(found.record, self._clock.now_ms(), bypass=owner.bypass)
                changed = self._change(stack, found, kept)
                self._give_up(stack, gone)
            return Plan(changed, stack.writes, [*stack.checks, found.check])

        return await self._commit(plan)

    def _give_up(self, stack: Stack, annotations: list[Annotation]) -> None:
        stack.changes += self._blobs.give_up(
            *(each.blob for each in annotations),
            project=stack.bucket.account,
            size=sum(each.size for each in annotations),
        )

    async def read(self, annotation: Annotation, data_key: bytes) -> bytes:
        """Return the text of an annotation, verified. Raises NoSuchAnnotation where it is gone."""
        blob = await self._blobs.load(annotation.blob)
        if blob is None:
            raise NoSuchAnnotation(AnnotationName=annotation.name)
        return await self._blobs.read(blob, 0, annotation.size, data_key)

    async def _open(self, owner: Owner) -> tuple[Stack, Located]:
        stack = await self._objects.versions.open(owner.bucket, owner.key)
        found = await self._objects.locate(stack.bucket, owner.key, owner.version_id)
        owner.confirm(found.record)
        if owner.if_match is not None and owner.if_match not in ("*", found.record.etag):
            raise PreconditionFailed(Condition="x-amz-object-if-match")
        return stack, found

    def _change(self, stack: Stack, found: Located, wanted: list[Annotation]) -> ObjectRecord:
        """Give a version these annotations, and count their bytes."""
        in_order = tuple(sorted(wanted, key=lambda each: each.name.encode()))
        changed = replace(found.record, annotations=in_order)
        delta = changed.space - found.record.space
        is_current = found.key.startswith(records.OBJECT)
        stack.tally.add(changed.owner, **{"bytes" if is_current else "old_bytes": delta})
        stack.changes.append(Put(found.key, encode(changed)))
        return changed
