"""ListObjectVersions."""

from __future__ import annotations

from typing import Any

from s3server.core.version_listing import ListedVersion, VersionPage
from s3server.core.versions import NULL_VERSION, format_version_id, parse_version_id
from s3server.errors import InvalidArgument
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at
from s3server.ops.bucket_list import MAX_KEYS, describe_entry, page_size, speller
from s3server.ops.refusals import check_owner
from s3server.wire.request import MAX_KEY_BYTES


@handles("ListObjectVersions")
async def list_object_versions(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List versions and delete markers by key, and from the newest to the oldest within a key."""
    check_owner(ctx, request)
    bucket, key_marker = ctx.require_bucket(), request.get("KeyMarker", "")
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    limit = page_size(request.get("MaxKeys"), MAX_KEYS, "max-keys")
    page = await ctx.services.listing.versions(
        bucket,
        prefix=prefix,
        delimiter=delimiter,
        after_key=key_marker,
        after_sequence=await _version_marker(ctx, request),
        limit=limit,
    )
    spell = speller(request)
    result: dict[str, Any] = {
        "Name": bucket.name,
        "Prefix": spell(prefix),
        "KeyMarker": spell(key_marker),
        "VersionIdMarker": request.get("VersionIdMarker", ""),
        "MaxKeys": limit,
        "IsTruncated": page.is_truncated,
        "Versions": [_version(each, spell) for each in page.versions if not _is_marker(each)],
        "DeleteMarkers": [_marker(each, spell) for each in page.versions if _is_marker(each)],
        "CommonPrefixes": [{"Prefix": spell(common)} for common in page.prefixes],
    }
    if delimiter:
        result["Delimiter"] = spell(delimiter)
    if request.get("EncodingType"):
        result["EncodingType"] = "url"
    if page.is_truncated:
        result |= _next(page, spell)
    return result


def _next(page: VersionPage, spell: Any) -> dict[str, Any]:
    """Return where the next page begins; the null version too is named by its place."""
    found = {"NextKeyMarker": spell(page.last_key)}
    if page.last_sequence:
        found["NextVersionIdMarker"] = format_version_id(page.last_sequence)
    return found


async def _version_marker(ctx: Ctx, request: dict[str, Any]) -> int | None:
    """Return the sequence after which to go on within the marker's key."""
    marker, key = request.get("VersionIdMarker"), request.get("KeyMarker")
    if not marker:
        return None
    if not key:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=marker,
        )
    if marker != NULL_VERSION:
        return parse_version_id(marker)
    record = None
    if len(key.encode()) <= MAX_KEY_BYTES:  # a marker is not held to that
        record = await ctx.services.objects.find(ctx.require_bucket(), key, marker)
    if record is None:
        raise InvalidArgument(
            "Invalid version id specified",
            ArgumentName="version-id-marker",
            ArgumentValue=marker,
        )
    return record.sequence


def _is_marker(version: ListedVersion) -> bool:
    return version.record.is_delete_marker


def _version(version: ListedVersion, spell: Any) -> dict[str, Any]:
    entry = describe_entry(version.key, version.record, spell, owner=True)
    entry["VersionId"] = version.record.version_id or NULL_VERSION
    entry["IsLatest"] = version.is_latest
    return entry


def _marker(version: ListedVersion, spell: Any) -> dict[str, Any]:
    return {
        "Key": spell(version.key),
        "VersionId": version.record.version_id or NULL_VERSION,
        "IsLatest": version.is_latest,
        "LastModified": at(version.record.modified_ms),
        "Owner": {"ID": version.record.owner},
    }
