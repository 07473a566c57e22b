"""Annotations of objects: PutObjectAnnotation and what reads, lists and removes them."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from s3server.core.annotations import (
    MAX_ANNOTATIONS,
    PLAIN,
    AnnotationNameTooLong,
    InvalidAnnotationName,
    Owner,
    Sealed,
    find,
)
from s3server.core.keys import read_envelope, write_envelope
from s3server.core.record_parts import Annotation
from s3server.core.records import ObjectRecord
from s3server.core.sealing import new_data_key
from s3server.core.versions import shown_version_id
from s3server.errors import (
    EntityTooLarge,
    InvalidArgument,
    InvalidRequest,
    S3Error,
)
from s3server.model import Upload
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at, quote_etag, shown_checksums, unquote_etag
from s3server.ops.bucket_list import algorithms_of, page_size
from s3server.ops.encryption import told_encryption
from s3server.ops.lock_headers import may_bypass
from s3server.ops.refusals import check_owner

MAX_NAME_BYTES = 512
MAX_BYTES = 1 << 20  # of one annotation
_RESERVED = ("aws", "s3")  # how no name begins, in whatever case


class UnsupportedMediaType(S3Error):
    """What is attached is no text."""

    status = 415
    message = "An annotation must be text in UTF-8."


@handles("PutObjectAnnotation")
async def put_object_annotation(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Attach a text to a version, or replace it."""
    check_owner(ctx, request)
    name, body = _name(request), _Text(request["AnnotationPayload"])
    record, made = await ctx.services.annotations.put(
        await _owner(ctx, request, "s3:PutObjectAnnotation"),
        name,
        body,
        await _sealed(ctx, request),
    )
    told = _told(made)
    return {"Key": request["Key"], "AnnotationName": name, **_of(ctx, record), **told}


@handles("GetObjectAnnotation")
async def get_object_annotation(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the text of an annotation."""
    check_owner(ctx, request)
    record = await _read(ctx, request, "s3:GetObjectAnnotation")
    found = find(record, _name(request))
    data_key = b""
    if found.encryption:
        data_key = ctx.services.key_ring.unwrap(read_envelope(found.encryption))
    told = _told(found)
    if not request.get("ChecksumMode"):
        told = {name: value for name, value in told.items() if not name.startswith("Checksum")}
    return {
        "AnnotationPayload": await ctx.services.annotations.read(found, data_key),
        "LastModified": at(found.modified_ms),
        **_of(ctx, record),
        **told,
    }


@handles("ListObjectAnnotations")
async def list_object_annotations(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List annotations in the order of their names; the token is the last name of a page."""
    check_owner(ctx, request)
    record = await _read(ctx, request, "s3:ListObjectAnnotations")
    prefix, after = request.get("AnnotationPrefix", ""), request.get("ContinuationToken", "")
    asked = request.get("MaxAnnotationResults")
    if asked == 0:
        raise InvalidArgument(ArgumentName="max-annotation-results", ArgumentValue="0")
    limit = page_size(asked, MAX_ANNOTATIONS, "max-annotation-results")
    rest = [
        each
        for each in record.annotations
        if each.name.startswith(prefix) and each.name.encode() > after.encode()
    ]
    page = rest[:limit]
    result = {
        "Bucket": ctx.require_bucket().name,
        "Key": request["Key"],
        "AnnotationPrefix": prefix,
        "MaxAnnotationResults": limit,
        "AnnotationCount": len(page),
        "ContinuationToken": after or None,
        "Annotations": [_entry(each) for each in page],
        **_of(ctx, record),
    }
    if len(rest) > limit:
        result["NextContinuationToken"] = page[-1].name
    return result


@handles("DeleteObjectAnnotation")
async def delete_object_annotation(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove an annotation for good."""
    check_owner(ctx, request)
    name = _name(request)
    owner = await _owner(ctx, request, "s3:DeleteObjectAnnotation")
    record = await ctx.services.annotations.remove(owner, name)
    return _of(ctx, record)


def _name(request: Mapping[str, Any]) -> str:
    name: str = request["AnnotationName"]
    if len(name.encode()) > MAX_NAME_BYTES:
        raise AnnotationNameTooLong
    if not name or not name.isprintable() or name.lower().startswith(_RESERVED):
        raise InvalidAnnotationName(AnnotationName=name)
    return name


async def _owner(ctx: Ctx, request: Mapping[str, Any], action: str) -> Owner:
    bucket, key, version_id = ctx.require_bucket(), request["Key"], request.get("VersionId")
    if_match = request.get("ObjectIfMatch")
    bypasses = ctx.http.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
    return Owner(
        bucket,
        key,
        lambda record: ctx.confirm(action, bucket, key, record, version_id),
        version_id,
        None if if_match is None else unquote_etag(if_match),
        await may_bypass(ctx, {"BypassGovernanceRetention": bypasses}, key, version_id),
    )


async def _record(ctx: Ctx, request: Mapping[str, Any]) -> ObjectRecord:
    bucket, key, version_id = ctx.require_bucket(), request["Key"], request.get("VersionId")
    return await ctx.services.objects.get(bucket, key, version_id)


async def _read(ctx: Ctx, request: Mapping[str, Any], action: str) -> ObjectRecord:
    """Return the version, held against the right to do `action` to it."""
    record = await _record(ctx, request)
    ctx.confirm(action, ctx.require_bucket(), request["Key"], record, request.get("VersionId"))
    return record


async def _sealed(ctx: Ctx, request: Mapping[str, Any]) -> Sealed:
    """Return how the annotation is encrypted: as its object is, by a key of its own."""
    record = await _record(ctx, request)
    if not record.encryption:
        return PLAIN
    data_key = new_data_key()
    return Sealed(write_envelope(ctx.services.key_ring.wrap(data_key)), data_key)


def _of(ctx: Ctx, record: ObjectRecord) -> dict[str, Any]:
    return {"ObjectVersionId": shown_version_id(ctx.require_bucket(), record)}


def _told(annotation: Annotation) -> dict[str, Any]:
    return {
        "ETag": quote_etag(annotation.etag),
        **shown_checksums(annotation.checksums),
        "ChecksumType": "FULL_OBJECT",
        **told_encryption(annotation.encryption),
    }


def _entry(annotation: Annotation) -> dict[str, Any]:
    return {
        "AnnotationName": annotation.name,
        "LastModified": at(annotation.modified_ms),
        "ETag": quote_etag(annotation.etag),
        "ChecksumAlgorithm": algorithms_of(annotation.checksums),
        "Size": annotation.size,
    }


class _Text:
    """An upload of 1 byte to 1 MiB that must be UTF-8. Implements model.Upload."""

    def __init__(self, body: Upload) -> None:
        """Raises EntityTooLarge, InvalidRequest for nothing, what `body.size` raises."""
        self._body, self.size = body, body.size
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        if self.size > MAX_BYTES:
            raise EntityTooLarge(ProposedSize=str(self.size), MaxSizeAllowed=str(MAX_BYTES))
        if not self.size:
            raise InvalidRequest("An annotation has at least one byte.")

    async def readinto(self, buffer: memoryview) -> int:
        count = await self._body.readinto(buffer)
        try:
            self._decoder.decode(buffer[:count], final=not count)
        except UnicodeDecodeError:
            raise UnsupportedMediaType from None
        return count

    @property
    def etag(self) -> str:
        return self._body.etag

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        return self._body.checksums
