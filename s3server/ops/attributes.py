"""From the members of a request to what is stored of an object, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from s3server import errors
from s3server.core.blobs import STANDARD
from s3server.core.notifications import Cause
from s3server.core.objects import UNCONDITIONAL, Attributes, Pairs, WriteCondition
from s3server.core.records import BlobPart, ObjectRecord
from s3server.core.tags import MAX_OBJECT_TAGS, check_tags
from s3server.operation import Ctx
from s3server.ops.lock_headers import lock_of
from s3server.ops.refusals import ON_NEW_OBJECTS, refuse
from s3server.wire.checksums import ADLER32
from s3server.wire.tagging import parse_tagging
from s3server.wire.website import check_redirect_location

STORED_HEADERS = (
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "Expires",
    "WebsiteRedirectLocation",
)
REDIRECT = "WebsiteRedirectLocation"
DEFAULT_CONTENT_TYPE = "binary/octet-stream"


def attributes_of(ctx: Ctx, request: Mapping[str, Any], cause: Cause | None = None) -> Attributes:
    """Return what a PutObject, CopyObject or CreateMultipartUpload request says of the object.

    All but its ACL: see `acls.with_acl`. `cause` is that of the event that storing it is.
    """
    refuse(request, *ON_NEW_OBJECTS)
    tagging = request.get("Tagging")
    tags = parse_tagging(tagging) if tagging else ()
    retention, legal_hold = lock_of(ctx, request)
    return Attributes(
        owner=ctx.principal.id,
        headers=_stored_headers(request),
        metadata=tuple((request.get("Metadata") or {}).items()),
        storage_class=request.get("StorageClass") or STANDARD,
        cause=cause,
        tags=check_tags(tags, most=MAX_OBJECT_TAGS) if tags else (),
        retention=retention,
        legal_hold=legal_hold,
    )


def write_condition(request: Mapping[str, Any]) -> WriteCondition:
    """Return what the request demands of the version that it replaces."""
    if_match, if_none_match = request.get("IfMatch"), request.get("IfNoneMatch")
    if if_match is None and if_none_match is None:
        return UNCONDITIONAL
    if if_none_match is not None and if_none_match != "*":
        raise errors.NotImplemented(
            "A conditional write takes If-None-Match: * only.", Header="If-None-Match"
        )
    return WriteCondition(
        if_match=None if if_match is None else unquote_etag(if_match),
        if_none_match=if_none_match is not None,
    )


def delete_condition(
    etag: str | None, size: int | None, modified: datetime | None
) -> WriteCondition:
    """Return what a DeleteObject, or an entry of DeleteObjects, demands of what it deletes."""
    return WriteCondition(
        if_match=None if etag is None else unquote_etag(etag),
        if_size=size,
        if_modified_s=None if modified is None else int(modified.timestamp()),
    )


def unquote_etag(etag: str) -> str:
    """Return an ETag without its quotes."""
    return etag.strip().removeprefix('"').removesuffix('"')


def quote_etag(etag: str) -> str:
    """Return an ETag as headers and documents carry it."""
    return f'"{etag}"'


def at(milliseconds: int) -> datetime:
    """Return a stored time as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@lru_cache(maxsize=4_096)
def at_second(since_1970: int) -> datetime:
    """Return a time in whole seconds as a datetime in UTC; what lies side by side shares them."""
    return datetime.fromtimestamp(since_1970, UTC)


def describe(record: ObjectRecord) -> dict[str, Any]:
    """Return the members that GetObject and HeadObject share, apart from length and body."""
    result: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": at(record.modified_ms),
        "ETag": quote_etag(record.etag),
        "ContentType": DEFAULT_CONTENT_TYPE,
        "Metadata": dict(record.metadata),
    }
    result.update(record.headers)
    if has_more_to_tell(record):
        _tell_more(record, result)
    return result


def has_more_to_tell(record: ObjectRecord) -> bool:
    """Return whether describe() tells more of a version than its headers and metadata."""
    is_locked = record.retention_mode or record.legal_hold
    return bool(record.tags or is_locked) or record.storage_class != STANDARD


def _tell_more(record: ObjectRecord, result: dict[str, Any]) -> None:
    """Add what few versions have; for those alone that has_more_to_tell() names."""
    if record.storage_class != STANDARD:  # as S3 has it
        result["StorageClass"] = record.storage_class
    if record.tags:
        result["TagCount"] = len(record.tags)
    if record.retention_mode:
        result["ObjectLockMode"] = record.retention_mode
        result["ObjectLockRetainUntilDate"] = at(record.retain_until_ms)
    if record.legal_hold:
        result["ObjectLockLegalHoldStatus"] = record.legal_hold


def checksums_of(record: ObjectRecord) -> dict[str, str]:
    """Return the stored checksums with their type, as the model names them."""
    shown = shown_checksums(record.checksums)
    return {**shown, "ChecksumType": record.checksum_type} if shown else {}


def whole_checksums(record: ObjectRecord) -> dict[str, str]:
    """Return the stored checksums that are of the object's bytes, not of its parts' checksums."""
    if record.checksum_type == "COMPOSITE":
        return {name: value for name, value in record.checksums if name == ADLER32}
    return dict(record.checksums)


def shown_checksums(checksums: Pairs) -> dict[str, str]:
    """Return those of the stored checksums that S3 has a name for."""
    return {name: value for name, value in checksums if name != ADLER32}


def part_checksum(record: ObjectRecord, part: BlobPart) -> dict[str, str]:
    """Return a part's own checksum, where the object was uploaded with checksums."""
    member = next(iter(shown_checksums(record.checksums)), "")
    return {member: part.checksum} if member and part.checksum else {}


def _stored_headers(request: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    stored = []
    for name in STORED_HEADERS:
        value = request.get(name)
        if name == "ContentEncoding" and value:
            value = _without_aws_chunked(value)
        if name == REDIRECT and value:
            value = check_redirect_location(value)
        if value:
            stored.append((name, value))
    return tuple(stored)


def _without_aws_chunked(encodings: str) -> str:
    """Return the content encodings without the one that only describes the transfer."""
    kept = (encoding.strip() for encoding in encodings.split(","))
    return ",".join(encoding for encoding in kept if encoding.lower() != "aws-chunked")
