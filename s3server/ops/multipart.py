"""Multipart uploads: create, complete, abort, list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3server.core.multipart import ChosenPart, Digest, format_upload_id, parse_upload_id
from s3server.core.records import ObjectRecord, PartRecord, UploadRecord
from s3server.core.versions import shown_version_id
from s3server.errors import InvalidArgument, InvalidRequest, MalformedXML, NoSuchUpload
from s3server.operation import Ctx, handles
from s3server.ops.acls import with_acl
from s3server.ops.attributes import (
    at,
    attributes_of,
    checksums_of,
    quote_etag,
    unquote_etag,
    write_condition,
)
from s3server.ops.bucket_lifecycle import expiration_of
from s3server.ops.bucket_list import page_size, spell_url
from s3server.ops.encryption import customer_key, told_encryption, with_encryption
from s3server.ops.refusals import check_owner, refuse
from s3server.wire.checksums import ALGORITHMS, whole_adler32, whole_checksum

MAX_UPLOADS = 1_000
MAX_PARTS = 10_000
CHECKSUM_PREFIX = "Checksum"


@handles("CreateMultipartUpload")
async def create_multipart_upload(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Begin an upload in parts."""
    check_owner(ctx, request)
    algorithm = request.get("ChecksumAlgorithm") or ""
    checksum_type = _checksum_type(algorithm, request.get("ChecksumType") or "")
    attributes = await with_acl(ctx, request, attributes_of(ctx, request))
    attributes = with_encryption(ctx, request, attributes)
    upload = await ctx.services.multipart.create(
        ctx.require_bucket(),
        request["Key"],
        attributes,
        checksum_algorithm=algorithm,
        checksum_type=checksum_type,
    )
    result = {
        "Bucket": request["Bucket"],
        "Key": request["Key"],
        "UploadId": format_upload_id(upload.id),
        **told_encryption(upload.encryption),
    }
    if algorithm:
        result |= {"ChecksumAlgorithm": algorithm, "ChecksumType": checksum_type}
    return result


@handles("CompleteMultipartUpload")
async def complete_multipart_upload(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Make an object of the chosen parts; no byte is written again."""
    check_owner(ctx, request)
    customer_key(ctx, request)  # the parts are encrypted already: it only has to be one
    parts = (request.get("MultipartUpload") or {}).get("Parts") or []
    if not 1 <= len(parts) <= MAX_PARTS:
        raise MalformedXML

    chosen = [_chosen(part) for part in parts]

    def summarise(upload: UploadRecord, used: Sequence[PartRecord]) -> Digest:
        _check_stated(upload, chosen)
        return _digest(request, upload, used)

    bucket = ctx.require_bucket()
    await confirm_initiator(ctx, request, "s3:PutObject")
    record = await ctx.services.multipart.complete(
        bucket,
        request["Key"],
        request["UploadId"],
        chosen,
        summarise=summarise,
        condition=write_condition(request),
        cause=ctx.cause("ObjectCreated:CompleteMultipartUpload"),
    )
    return {
        "Location": f"{ctx.http.scheme}://{ctx.http.headers.get('host', '')}{ctx.http.raw_path}",
        "Bucket": request["Bucket"],
        "Key": request["Key"],
        "ETag": quote_etag(record.etag),
        "VersionId": shown_version_id(bucket, record),
        "Expiration": await expiration_of(ctx, bucket, request["Key"], record),
        **checksums_of(record),
        **_told(record),
    }


@handles("AbortMultipartUpload")
async def abort_multipart_upload(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give up an upload and the space of its parts."""
    check_owner(ctx, request)
    refuse(request, "IfMatchInitiatedTime")
    bucket, key = ctx.require_bucket(), request["Key"]
    await confirm_initiator(ctx, request, "s3:AbortMultipartUpload")
    await ctx.services.multipart.abort(bucket, key, request["UploadId"])
    return {}


@handles("ListMultipartUploads")
async def list_multipart_uploads(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List uploads in progress by key, and by time within a key."""
    check_owner(ctx, request)
    bucket, key_marker = ctx.require_bucket(), request.get("KeyMarker", "")
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    limit = page_size(request.get("MaxUploads"), MAX_UPLOADS, "max-uploads")
    page = await ctx.services.listing.uploads(
        bucket,
        prefix=prefix,
        delimiter=delimiter,
        after_key=key_marker,
        after_upload=_upload_marker(request),
        limit=limit,
    )
    spell = spell_url if request.get("EncodingType") else str
    result: dict[str, Any] = {
        "Bucket": bucket.name,
        "KeyMarker": spell(key_marker),
        "UploadIdMarker": request.get("UploadIdMarker", ""),
        "Prefix": spell(prefix),
        "MaxUploads": limit,
        "IsTruncated": page.is_truncated,
        "Uploads": [_upload_entry(upload, spell) for upload in page.uploads],
        "CommonPrefixes": [{"Prefix": spell(common)} for common in page.prefixes],
    }
    if delimiter:
        result["Delimiter"] = spell(delimiter)
    if request.get("EncodingType"):
        result["EncodingType"] = "url"
    if page.is_truncated:
        result["NextKeyMarker"] = spell(page.last_key)
        if page.last_upload:
            result["NextUploadIdMarker"] = format_upload_id(page.last_upload)
    return result


async def confirm_initiator(
    ctx: Ctx, request: Mapping[str, Any], action: str
) -> UploadRecord | None:
    """Return the upload, if it is there.

    Raises AccessDenied where it is another's and only ACLs let in.
    """
    key, upload_id = request["Key"], request["UploadId"]
    upload = await ctx.services.multipart.find(ctx.require_bucket(), key, upload_id)
    if upload is not None:
        ctx.confirm_upload(action, key, upload.owner)
    return upload


def _told(record: ObjectRecord) -> dict[str, str]:
    """Return what of an object's encryption the answer to its completion has room for."""
    told = told_encryption(record.encryption)
    return {name: value for name, value in told.items() if name == "ServerSideEncryption"}


def _upload_entry(upload: UploadRecord, spell: Any) -> dict[str, Any]:
    entry = {
        "UploadId": format_upload_id(upload.id),
        "Key": spell(upload.key),
        "Initiated": at(upload.started_ms),
        "StorageClass": upload.storage_class,
        "Owner": {"ID": upload.owner},
        "Initiator": {"ID": upload.owner},
    }
    if upload.checksum_algorithm:
        entry["ChecksumAlgorithm"] = upload.checksum_algorithm
        entry["ChecksumType"] = upload.checksum_type
    return entry


def _upload_marker(request: Mapping[str, Any]) -> bytes | None:
    """Return the upload to list after; without a key marker S3 ignores it."""
    marker = request.get("UploadIdMarker")
    if not marker or not request.get("KeyMarker"):
        return None
    try:
        return parse_upload_id(marker)
    except NoSuchUpload:
        raise InvalidArgument(
            "Invalid uploadId marker", ArgumentName="upload-id-marker", ArgumentValue=marker
        ) from None


def _chosen(part: Mapping[str, Any]) -> ChosenPart:
    number, etag = part.get("PartNumber"), part.get("ETag")
    if number is None or etag is None:
        raise MalformedXML
    if not 1 <= number <= MAX_PARTS:
        raise InvalidArgument(
            f"PartNumber must be between 1 and {MAX_PARTS}.",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )
    checksums = tuple(
        (name, value) for name, value in part.items() if name.startswith(CHECKSUM_PREFIX) and value
    )
    return ChosenPart(number=number, etag=unquote_etag(etag), checksums=checksums)


def _checksum_type(algorithm: str, wanted: str) -> str:
    """Return the type of checksum an upload will have, as S3 combines them."""
    if not algorithm:
        if wanted:
            raise InvalidRequest("A checksum type needs a checksum algorithm.")
        return ""
    only = None
    if algorithm == "CRC64NVME":
        only = "FULL_OBJECT"
    elif ALGORITHMS[algorithm].combine is None:
        only = "COMPOSITE"
    if only is not None and wanted not in ("", only):
        raise InvalidRequest(
            f"The {wanted} checksum type cannot be used with the {algorithm.lower()} algorithm."
        )
    return only or wanted or "COMPOSITE"


def _check_stated(upload: UploadRecord, chosen: Sequence[ChosenPart]) -> None:
    """Refuse parts without the checksum that a composite one is made of, as S3 does."""
    if upload.checksum_type != "COMPOSITE":
        return
    member = ALGORITHMS[upload.checksum_algorithm].member
    for part in chosen:
        if member not in dict(part.checksums):
            raise InvalidRequest(
                f"The upload was created using a {upload.checksum_algorithm.lower()} checksum. The "
                "complete request must include the checksum for each part. It was missing for "
                f"part {part.number} in the request."
            )


def _digest(
    request: Mapping[str, Any], upload: UploadRecord, parts: Sequence[PartRecord]
) -> Digest:
    """Return the checksum of the whole, verified against what the client sent of it."""
    size = sum(part.size for part in parts)
    promised = request.get("MpuObjectSize")
    if promised is not None and promised != size:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {promised} does not match what "
            f"was computed: {size}"
        )
    pairs = [(dict(part.checksums), part.size) for part in parts]
    algorithm, kind = upload.checksum_algorithm, upload.checksum_type
    stated = request.get("ChecksumType")
    if stated is not None and stated != (kind or "FULL_OBJECT"):
        raise InvalidRequest(
            f"The upload was created with the {kind or 'FULL_OBJECT'} checksum type; the request "
            f"to complete it says {stated}."
        )
    checksum = whole_checksum(request, algorithm=algorithm, checksum_type=kind, parts=pairs)
    adler32 = whole_adler32(pairs)
    stored = tuple(one for one in (checksum, adler32) if one is not None)
    return Digest(checksums=stored, checksum_type=(kind or "FULL_OBJECT") if checksum else "")
