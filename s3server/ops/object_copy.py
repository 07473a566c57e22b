"""CopyObject, and what it shares with UploadPartCopy: who and what is copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import structs

from s3server.core.copying import CopySource, WantedChecksum
from s3server.core.objects import Attributes, Pairs
from s3server.core.records import ObjectRecord
from s3server.core.versions import shown_version_id
from s3server.errors import InvalidArgument, InvalidRequest, KeyTooLongError
from s3server.operation import Ctx, handles
from s3server.ops.acls import with_acl
from s3server.ops.attributes import (
    REDIRECT,
    at,
    attributes_of,
    checksums_of,
    quote_etag,
    write_condition,
)
from s3server.ops.bucket_lifecycle import expiration_of
from s3server.ops.encryption import OF_SOURCE, data_key_of, told_encryption, with_encryption
from s3server.ops.refusals import check_owner
from s3server.wire.checksums import ALGORITHMS
from s3server.wire.conditions import check_copy_source_conditions
from s3server.wire.digests import CopyDigests
from s3server.wire.request import MAX_KEY_BYTES

MAX_COPY_BYTES = 5 * 1024**3
_BELONGINGS = {"Tagging": "tags", "Annotation": "annotations"}  # by the names in their actions
# Why to copy onto itself.
WRITE_ANEW = (
    "ChecksumAlgorithm", "ServerSideEncryption", "SSECustomerKey", "StorageClass",
    "WebsiteRedirectLocation",
)  # fmt: skip


@handles("CopyObject")
async def copy_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Copy an object; within a pool only metadata is written, unless a new checksum is wanted."""
    check_owner(ctx, request)
    given = attributes_of(ctx, request, ctx.cause("ObjectCreated:Copy"))
    given = await with_acl(ctx, request, given)
    replaced = _directive(request, "MetadataDirective") == "REPLACE"
    kinds = _copied_kinds(request)
    target = (ctx.require_bucket(), request["Key"])
    source = await open_source(ctx, request)
    rewrites = any(request.get(name) for name in WRITE_ANEW)
    is_itself = (source.bucket, source.key) == target and source.version_id is None
    if not replaced and is_itself and not rewrites:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes."
        )

    copied: list[ObjectRecord] = []
    replaced_by_it = await ctx.services.objects.find(*target)

    def describe(record: ObjectRecord) -> Attributes:
        copied[:] = [record]
        ctx.confirm_read(source.bucket, source.key, record, source.version_id)
        check_source_conditions(request, record)
        if record.size > MAX_COPY_BYTES:
            raise InvalidRequest(
                "The specified copy source is larger than the maximum allowable size for a copy "
                f"source: {MAX_COPY_BYTES}"
            )
        # Between encrypted objects the data key is wrapped anew, and no byte is written.
        source_key = data_key_of(ctx, request, record.encryption, OF_SOURCE)
        copy = with_encryption(ctx, request, given, source_key)
        copy = replace(copy, source_key=source_key)
        if not replaced:
            copy = replace(copy, headers=_headers_of(record, given), metadata=record.metadata)
        for kind in kinds:
            if belongings := getattr(record, _BELONGINGS[kind]):
                read = (source.bucket, source.key, record, source.version_id)
                ctx.confirm(f"s3:GetObject{kind}", *read)
                ctx.confirm(f"s3:PutObject{kind}", *target, replaced_by_it)
                copy = replace(copy, **{_BELONGINGS[kind]: belongings})
        return copy

    record = await ctx.services.copying.copy(
        source, target, describe, write_condition(request), _wanted_checksum(request)
    )
    return {
        "VersionId": shown_version_id(target[0], record),
        "Expiration": await expiration_of(ctx, *target, record),
        "CopySourceVersionId": shown_version_id(source.bucket, copied[0]),
        **told_encryption(record.encryption),
        "CopyObjectResult": {
            "ETag": quote_etag(record.etag),
            "LastModified": at(record.modified_ms),
            **checksums_of(record),
        },
    }


def _headers_of(source: ObjectRecord, given: Attributes) -> Pairs:
    """Return the headers of a copy like its source; where a page is elsewhere it says itself."""
    own = [pair for pair in given.headers if pair[0] == REDIRECT]
    return (*[pair for pair in source.headers if pair[0] != REDIRECT], *own)


def _wanted_checksum(request: Mapping[str, Any]) -> WantedChecksum | None:
    algorithm = request.get("ChecksumAlgorithm")
    if not algorithm:
        return None
    return WantedChecksum(ALGORITHMS[algorithm].member, partial(CopyDigests, algorithm))


def _copied_kinds(request: Mapping[str, Any]) -> list[str]:
    """Return what else of the source is copied, where it has some: there are rights on each."""
    replaces_tags = _directive(request, "TaggingDirective") == "REPLACE"
    if request.get("Tagging") is not None and not replaces_tags:
        raise InvalidRequest("x-amz-tagging goes with x-amz-tagging-directive: REPLACE only.")
    # Objects of clients' keys have no annotations.
    default = "EXCLUDE" if request.get("SSECustomerKey") else "COPY"
    annotates = _directive(request, "AnnotationDirective", "EXCLUDE", default) == "COPY"
    wanted = {"Tagging": not replaces_tags, "Annotation": annotates}
    return [kind for kind, is_wanted in wanted.items() if is_wanted]


async def open_source(ctx: Ctx, request: Mapping[str, Any]) -> CopySource:
    """Return what x-amz-copy-source names, once the caller may read it."""
    name, key, version_id = parse_copy_source(request["CopySource"])
    action = "s3:GetObject" if version_id is None else "s3:GetObjectVersion"
    bucket = await ctx.require(action, name, key, version=version_id)
    expected = request.get("ExpectedSourceBucketOwner")
    check_owner(structs.replace(ctx, bucket=bucket), {"ExpectedBucketOwner": expected})
    if version_id is not None:
        record = await ctx.services.objects.find(bucket, key, version_id)
        if record is not None and record.is_delete_marker:
            raise InvalidRequest(
                "The source of a copy request may not specifically refer to a delete marker by "
                "version id."
            )
    return CopySource(bucket, key, version_id)


def check_source_conditions(request: Mapping[str, Any], record: ObjectRecord) -> None:
    """Raise PreconditionFailed where the source is not as x-amz-copy-source-if-* demands."""
    check_copy_source_conditions(
        request, etag=quote_etag(record.etag), modified=at(record.modified_ms)
    )


def parse_copy_source(header: str) -> tuple[str, str, str | None]:
    """Return bucket, key and version id of an x-amz-copy-source header. Raises InvalidArgument.

    A "+" is a space, as S3 reads it and s5cmd writes it; a plus sign is "%2B".
    """
    path, _, query = header.partition("?")
    try:
        decoded = unquote_to_bytes(path.replace("+", " ")).decode()
    except UnicodeDecodeError:
        decoded = ""
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not (bucket and slash and key) or "\0" in decoded or bucket.startswith("arn:"):
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=header,
        )
    name, _, version_id = query.partition("=")
    if query and name != "versionId":
        raise InvalidArgument(ArgumentName="x-amz-copy-source", ArgumentValue=header)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise KeyTooLongError
    return bucket, key, version_id if query else None


def _directive(
    request: Mapping[str, Any], member: str, other: str = "REPLACE", default: str = "COPY"
) -> str:
    directive = request.get(member) or default
    if directive not in ("COPY", other):
        kind = member.removesuffix("Directive").lower()
        raise InvalidArgument(
            f"Unknown {kind} directive.",
            ArgumentName=f"x-amz-{kind}-directive",
            ArgumentValue=str(directive),
        )
    return str(directive)
