"""Parts of multipart uploads: upload, copy, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3server.core.etags import etag_of
from s3server.core.records import PartRecord
from s3server.core.versions import shown_version_id
from s3server.errors import EntityTooLarge, InvalidArgument, InvalidRequest
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at, quote_etag, shown_checksums
from s3server.ops.bucket_list import page_size
from s3server.ops.encryption import OF_SOURCE, data_key_of, told_encryption
from s3server.ops.multipart import MAX_PARTS, confirm_initiator
from s3server.ops.object_copy import check_source_conditions, open_source
from s3server.ops.refusals import ENCRYPTION, check_owner, refuse
from s3server.wire.checksums import ALGORITHMS, DEFAULT_ALGORITHM
from s3server.wire.digests import CopyDigests
from s3server.wire.ranges import parse_copy_range

MAX_PARTS_LISTED = 1_000
MAX_PART_BYTES = 5 * 1024**3


@handles("UploadPart")
async def upload_part(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store one part of an upload."""
    check_owner(ctx, request)
    refuse(request, *ENCRYPTION)
    told: dict[str, str] = {}
    upload = await confirm_initiator(ctx, request, "s3:PutObject")
    if upload is not None:
        _check_algorithm(ctx, request, upload.checksum_algorithm)

    def data_key(encryption: bytes) -> bytes:
        told.update(told_encryption(encryption))
        return data_key_of(ctx, request, encryption)

    part = await ctx.services.multipart.put_part(
        ctx.require_bucket(),
        request["Key"],
        request["UploadId"],
        _part_number(request),
        request["Body"],
        data_key=data_key,
    )
    return {"ETag": quote_etag(part.etag), **shown_checksums(part.checksums), **told}


@handles("UploadPartCopy")
async def upload_part_copy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store a part from bytes of an object that is here already."""
    check_owner(ctx, request)
    refuse(request, *ENCRYPTION)
    number, services = _part_number(request), ctx.services
    target = (ctx.require_bucket(), request["Key"], request["UploadId"])
    upload = await services.multipart.get(*target)
    ctx.confirm_upload("s3:PutObject", request["Key"], upload.owner)
    source = await open_source(ctx, request)
    record = await services.objects.get(source.bucket, source.key, source.version_id)
    ctx.confirm_read(source.bucket, source.key, record, source.version_id)
    check_source_conditions(request, record)
    start, stop = parse_copy_range(request.get("CopySourceRange"), record.size)
    if stop - start > MAX_PART_BYTES:
        raise EntityTooLarge(ProposedSize=str(stop - start), MaxSizeAllowed=str(MAX_PART_BYTES))
    digests = CopyDigests(upload.checksum_algorithm or DEFAULT_ALGORITHM)
    keys = (
        data_key_of(ctx, request, record.encryption, OF_SOURCE),
        data_key_of(ctx, request, upload.encryption),
    )
    await services.multipart.foresee_part(*target, number, stop - start)
    pool = services.multipart.pool_of(target[0], upload)
    ref = await services.copying.copy_bytes(record, start, stop, pool, digests, keys=keys)
    etag = etag_of(digests.etag, upload.encryption, keys[1])
    part = services.multipart.part(number, stop - start, etag, digests.checksums)
    part = await services.multipart.commit_part(*target, ref, part)
    return {
        "CopySourceVersionId": shown_version_id(source.bucket, record),
        **told_encryption(upload.encryption),
        "CopyPartResult": {
            "ETag": quote_etag(part.etag),
            "LastModified": at(part.modified_ms),
            **shown_checksums(part.checksums),
        },
    }


def _check_algorithm(ctx: Ctx, request: Mapping[str, Any], wanted: str) -> None:
    """Raise InvalidRequest where a part lacks the checksum that its upload was begun for.

    The object would be without it. What a client leaves out is computed where it is the default.
    """
    trailer = ctx.http.headers.get("x-amz-trailer", "").strip().lower()
    sent = [a.name for a in ALGORITHMS.values() if request.get(a.member) or a.header == trailer]
    found = sent[0] if sent else DEFAULT_ALGORITHM
    if wanted and found != wanted:
        told = sent[0].lower() if sent else "null"
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, "
            f"actual checksum Type: {told}"
        )


@handles("ListParts")
async def list_parts(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the parts of an upload."""
    check_owner(ctx, request)
    upload = await ctx.services.multipart.get(
        ctx.require_bucket(), request["Key"], request["UploadId"]
    )
    ctx.confirm_upload("s3:ListMultipartUploadParts", request["Key"], upload.owner)
    limit = page_size(request.get("MaxParts"), MAX_PARTS_LISTED, "max-parts")
    marker = request.get("PartNumberMarker") or 0
    parts = await ctx.services.multipart.parts(upload.id, after=int(marker), limit=limit + 1)
    shown = parts[:limit]
    result: dict[str, Any] = {
        "Bucket": request["Bucket"],
        "Key": request["Key"],
        "UploadId": request["UploadId"],
        "PartNumberMarker": int(marker),
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(parts) > limit,
        "Parts": [_entry(part) for part in shown],
        "Initiator": {"ID": upload.owner},
        "Owner": {"ID": upload.owner},
        "StorageClass": upload.storage_class,
    }
    if upload.checksum_algorithm:
        result["ChecksumAlgorithm"] = upload.checksum_algorithm
        result["ChecksumType"] = upload.checksum_type
    return result


def _entry(part: PartRecord) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "LastModified": at(part.modified_ms),
        "ETag": quote_etag(part.etag),
        "Size": part.size,
        **shown_checksums(part.checksums),
    }


def _part_number(request: Mapping[str, Any]) -> int:
    number = int(request["PartNumber"])
    if not 1 <= number <= MAX_PARTS:
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )
    return number
