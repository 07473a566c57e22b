"""GetObject and HeadObject: whole objects, ranges, parts, conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from s3server.core.blobs import begun
from s3server.core.records import BlobRecord, ObjectRecord
from s3server.core.versions import shown_version_id
from s3server.errors import InvalidArgument, InvalidPartNumber, InvalidRequest
from s3server.operation import Ctx, handles
from s3server.ops.attributes import (
    at,
    checksums_of,
    describe,
    part_checksum,
    quote_etag,
    whole_checksums,
)
from s3server.ops.bucket_lifecycle import expiration_of
from s3server.ops.encryption import SENT_KEY, data_key_of, told_encryption
from s3server.ops.object_ranges import PIECE_BYTES, MultiRange
from s3server.ops.refusals import check_owner
from s3server.wire.conditions import check_read_conditions, is_range_current
from s3server.wire.digest_fields import WANTS, told_digests
from s3server.wire.ranges import parse_range
from s3server.wire.timestamps import http_date

OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


@handles("GetObject")
async def get_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return an object, one range of it, several ranges, or one part."""
    record, result = await _open(ctx, request)
    spans, key = result.pop("@spans"), result.pop("@key", b"")
    objects = ctx.services.objects
    if len(spans) > 1:
        blob = await objects.blob_of(record)
        answer = _several(ctx, blob, spans, record, result, key=key)
        answer["Body"] = await begun(answer["Body"])
        return result | answer
    start, stop = spans[0]
    if start == stop:
        result["Body"] = b""
        return result
    blob = await objects.blob_of(record)
    if stop - start <= PIECE_BYTES:
        result["Body"] = await objects.read(blob, start, stop, key)
    else:
        result["Body"] = await begun(objects.stream(blob, start, stop, key))
    return result


@handles("HeadObject")
async def head_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return what GetObject would say of an object, without its bytes."""
    record, result = await _open(ctx, request)
    spans, _ = result.pop("@spans"), result.pop("@key", b"")
    if len(spans) > 1:
        blob = await ctx.services.objects.blob_of(record)
        answer = _several(ctx, blob, spans, record, result, key=b"")
        answer.pop("Body")
        return result | answer
    return result


def _several(
    ctx: Ctx,
    blob: BlobRecord,
    spans: Sequence[tuple[int, int]],
    record: ObjectRecord,
    result: Mapping[str, Any],
    *,
    key: bytes,
) -> dict[str, Any]:
    answer = MultiRange(
        ctx.services.objects,
        blob,
        spans,
        record.size,
        result["ContentType"],
        boundary=ctx.request_id,
        key=key,
    )
    return answer.describe()


async def _open(ctx: Ctx, request: dict[str, Any]) -> tuple[ObjectRecord, dict[str, Any]]:
    """Return the version asked for and the members of the answer, "@spans" among them."""
    # Bucket and key alone: nothing else was asked for or is to check.
    is_plain = len(request) == 2 and ctx.http.headers.keys().isdisjoint(WANTS)
    if not is_plain:
        check_owner(ctx, request)
    bucket, version_id = ctx.require_bucket(), request.get("VersionId")
    record = await ctx.services.objects.get(bucket, request["Key"], version_id)
    ctx.confirm_read(bucket, request["Key"], record, version_id)
    result = describe(record)
    if record.encryption or not (is_plain or SENT_KEY.isdisjoint(request)):
        result["@key"] = data_key_of(ctx, request, record.encryption)
        result.update(told_encryption(record.encryption))
    if bucket.versioning:
        result["VersionId"] = shown_version_id(bucket, record)
    if bucket.lifecycle and version_id is None:
        result["Expiration"] = await expiration_of(ctx, bucket, request["Key"], record)
    if is_plain:
        result["ContentLength"] = record.size
        result["@spans"] = [(0, record.size)]
        return record, result
    check_read_conditions(request, etag=quote_etag(record.etag), modified=at(record.modified_ms))
    result["@spans"] = spans = await _spans(ctx, request, record, result)
    start, stop = spans[0]
    result["ContentLength"] = stop - start
    is_whole = "ContentRange" not in result and len(spans) == 1
    if is_whole and request.get("ChecksumMode") == "ENABLED":
        result.update(checksums_of(record))
    etag = "" if record.part_count or record.encryption else record.etag
    told = told_digests(ctx.http.headers, whole_checksums(record), etag, is_whole=is_whole)
    if told:
        result["@headers"] = told
    _override(ctx, request, result)
    return record, result


async def _spans(
    ctx: Ctx, request: Mapping[str, Any], record: ObjectRecord, result: dict[str, Any]
) -> list[tuple[int, int]]:
    """Return the half-open spans of bytes to send; add what the answer says about them."""
    part_number, header = request.get("PartNumber"), request.get("Range")
    if part_number is not None:
        if header:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        span, checksums = await _part(ctx, record, part_number)
        if record.part_count:
            result["PartsCount"] = record.part_count
        if request.get("ChecksumMode") == "ENABLED":
            result.update(checksums)
    else:
        if_range, etag = ctx.http.headers.get("if-range"), quote_etag(record.etag)
        if not is_range_current(if_range, etag=etag, modified=at(record.modified_ms)):
            header = None
        spans = parse_range(header, record.size) if header else None
        if spans is None:
            return [(0, record.size)]
        if len(spans) > 1:
            return spans
        span = spans[0]
    if span[0] < span[1]:
        result["ContentRange"] = f"bytes {span[0]}-{span[1] - 1}/{record.size}"
    return [span]


async def _part(
    ctx: Ctx, record: ObjectRecord, number: int
) -> tuple[tuple[int, int], dict[str, str]]:
    """Return a part's half-open span of bytes and its checksum with the object's type."""
    if not 1 <= number <= 10_000:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )
    if not record.part_count:
        if number > 1:
            raise InvalidPartNumber(PartNumberRequested=str(number), ActualPartCount="1")
        return (0, record.size), checksums_of(record)
    blob = await ctx.services.objects.blob_of(record)
    if number > len(blob.parts):
        raise InvalidPartNumber(
            PartNumberRequested=str(number), ActualPartCount=str(len(blob.parts))
        )
    start, part = sum(part.size for part in blob.parts[: number - 1]), blob.parts[number - 1]
    own = part_checksum(record, part)
    return (start, start + part.size), own and {**own, "ChecksumType": record.checksum_type}


def _override(ctx: Ctx, request: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Apply the response-* parameters, which only signed requests may use."""
    for parameter, member in OVERRIDES.items():
        value = request.get(parameter)
        if value is None:
            continue
        if ctx.principal.is_anonymous:
            raise InvalidRequest(
                "Request specific response headers cannot be used for anonymous GET requests."
            )
        result[member] = http_date(value) if isinstance(value, datetime) else value
