"""Listings of objects: ListObjects (version 1) and ListObjectsV2."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import quote

from s3server.core.listing import ObjectPage
from s3server.core.objects import Pairs
from s3server.core.records import ObjectRecord
from s3server.errors import InvalidArgument
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at_second, quote_etag
from s3server.ops.refusals import check_owner
from s3server.wire.checksums import ALGORITHMS

MAX_KEYS = 1_000
_ALGORITHMS = {algorithm.member: algorithm.name for algorithm in ALGORITHMS.values()}


@handles("ListObjects")
async def list_objects(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List keys, version 1: the next page begins after a key."""
    marker = request.get("Marker", "")
    page, result = await _list(ctx, request, after=marker)
    spell = speller(request)
    result["Marker"] = spell(marker)
    if page.is_truncated and request.get("Delimiter"):
        result["NextMarker"] = spell(page.last)
    result["Contents"] = [
        describe_entry(key, record, spell, owner=True) for key, record in page.objects
    ]
    return result


@handles("ListObjectsV2")
async def list_objects_v2(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List keys, version 2: the next page begins after an opaque token."""
    token, start_after = request.get("ContinuationToken"), request.get("StartAfter", "")
    after = start_after if token is None else _open_token(token)
    page, result = await _list(ctx, request, after=after)
    spell, owner = speller(request), bool(request.get("FetchOwner"))
    result["Contents"] = [
        describe_entry(key, record, spell, owner=owner) for key, record in page.objects
    ]
    result["KeyCount"] = len(page.objects) + len(page.prefixes)
    if token is not None:
        result["ContinuationToken"] = token
    if start_after:
        result["StartAfter"] = spell(start_after)
    if page.is_truncated:
        result["NextContinuationToken"] = _make_token(page.last)
    return result


async def _list(
    ctx: Ctx, request: dict[str, Any], *, after: str
) -> tuple[ObjectPage, dict[str, Any]]:
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    limit = page_size(request.get("MaxKeys"), MAX_KEYS, "max-keys")
    page = await ctx.services.listing.objects(
        bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
    )
    spell = speller(request)
    result: dict[str, Any] = {
        "Name": bucket.name,
        "Prefix": spell(prefix),
        "MaxKeys": limit,
        "IsTruncated": page.is_truncated,
        "CommonPrefixes": [{"Prefix": spell(common)} for common in page.prefixes],
    }
    if delimiter:
        result["Delimiter"] = spell(delimiter)
    if request.get("EncodingType"):
        result["EncodingType"] = "url"
    return page, result


def page_size(asked: int | None, most: int, name: str) -> int:
    """Return how many rows a page has. Raises InvalidArgument for a negative number."""
    if asked is None:
        return most
    if asked < 0:
        raise InvalidArgument(
            f"Argument {name} must be an integer between 0 and 2147483647",
            ArgumentName=name,
            ArgumentValue=str(asked),
        )
    return min(asked, most)


def spell_url(text: str) -> str:
    """Return text as `encoding-type=url` asks for it."""
    return quote(text, safe="/*-._~")


def _plain(text: str) -> str:
    return text


def speller(request: dict[str, Any]) -> Any:
    """Return how names are written in an answer."""
    return spell_url if request.get("EncodingType") else _plain


def describe_entry(key: str, record: ObjectRecord, spell: Any, *, owner: bool) -> dict[str, Any]:
    """Return what a listing tells of a version."""
    entry: dict[str, Any] = {
        "Key": spell(key),
        "LastModified": at_second(record.modified_ms // 1000),
        "ETag": quote_etag(record.etag),
        "Size": record.size,
        "StorageClass": record.storage_class,
    }
    if algorithms := algorithms_of(record.checksums):
        entry["ChecksumAlgorithm"] = algorithms
        entry["ChecksumType"] = record.checksum_type
    if owner:
        entry["Owner"] = {"ID": record.owner}
    return entry


def algorithms_of(checksums: Pairs) -> list[str]:
    """Return the names of the stored checksums that S3 knows."""
    return [_ALGORITHMS[name] for name, _ in checksums if name in _ALGORITHMS]


def _make_token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _open_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidArgument(
            "The continuation token provided is incorrect",
            ArgumentName="continuation-token",
            ArgumentValue=token,
        ) from None
