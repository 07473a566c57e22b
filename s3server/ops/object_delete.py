"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import asyncio
from typing import Any

from s3server.core.objects import Deleted
from s3server.core.records import BucketRecord
from s3server.core.versions import NULL_VERSION
from s3server.errors import KeyTooLongError, MalformedXML, S3Error
from s3server.operation import Ctx, handles
from s3server.ops.attributes import delete_condition
from s3server.ops.lock_headers import may_bypass
from s3server.ops.refusals import check_owner, refuse
from s3server.wire.request import MAX_KEY_BYTES

MAX_KEYS = 1_000
CONCURRENT_DELETES = 100  # commits of one request that may wait for the same flush


@handles("DeleteObject")
async def delete_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a key, or one version of it for good. That there was none is no error."""
    check_owner(ctx, request)
    refuse(request, "MFA")
    version_id = request.get("VersionId")
    bypass = await may_bypass(ctx, request, request["Key"], version_id)
    deleted = await ctx.services.objects.delete(
        ctx.require_bucket(),
        request["Key"],
        version_id,
        owner=ctx.principal.id,
        condition=delete_condition(
            request.get("IfMatch"),
            request.get("IfMatchSize"),
            request.get("IfMatchLastModifiedTime"),
        ),
        cause=ctx.cause("ObjectRemoved"),
        bypass=bypass,
    )
    return {"VersionId": version_id, **_told(deleted, "VersionId")}


@handles("DeleteObjects")
async def delete_objects(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete up to 1,000 keys, each permitted and committed on its own."""
    check_owner(ctx, request)
    refuse(request, "MFA")
    bucket, wanted = ctx.require_bucket(), request["Delete"]
    entries = wanted.get("Objects") or []
    if not 1 <= len(entries) <= MAX_KEYS or not all(entry["Key"] for entry in entries):
        raise MalformedXML
    limit = asyncio.Semaphore(CONCURRENT_DELETES)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_delete_one(ctx, request, bucket, entry, limit))
                for entry in entries
            ]
    except ExceptionGroup as several:  # the store's own trouble is that of the whole request
        raise several.exceptions[0] from None
    outcomes = [task.result() for task in tasks]
    ctx.caller.deleted += [
        (outcome["Key"], outcome.get("VersionId", ""), outcome.get("Code", ""))
        for outcome in outcomes
    ]
    result: dict[str, Any] = {"Errors": [outcome for outcome in outcomes if "Code" in outcome]}
    if not wanted.get("Quiet"):
        result["Deleted"] = [outcome for outcome in outcomes if "Code" not in outcome]
    return result


async def _delete_one(
    ctx: Ctx,
    request: dict[str, Any],
    bucket: BucketRecord,
    entry: dict[str, Any],
    limit: asyncio.Semaphore,
) -> dict[str, Any]:
    """Delete one key; return what the answer says of it, with a Code where that failed."""
    key = entry["Key"]
    named: dict[str, Any] = {n: entry[n] for n in ("Key", "VersionId") if n in entry}
    try:
        async with limit:
            if len(key.encode()) > MAX_KEY_BYTES:
                raise KeyTooLongError
            version_id = entry.get("VersionId")
            action = "s3:DeleteObject" if version_id is None else "s3:DeleteObjectVersion"
            await ctx.require(action, bucket.name, key, version=version_id)
            bypass = await may_bypass(ctx, request, key, version_id)
            condition = delete_condition(
                entry.get("ETag"), entry.get("Size"), entry.get("LastModifiedTime")
            )
            deleted = await ctx.services.objects.delete(
                bucket,
                key,
                version_id,
                owner=ctx.principal.id,
                condition=condition,
                cause=ctx.cause("ObjectRemoved"),
                bypass=bypass,
            )
    except S3Error as error:
        return {**named, "Code": error.code, "Message": error.message}
    return {**named, **_told(deleted, "DeleteMarkerVersionId")}


def _told(deleted: Deleted, member: str) -> dict[str, Any]:
    """Return what an answer says of a delete marker that was made or removed."""
    marker = deleted.marker
    if marker is None and deleted.removed is not None and deleted.removed.is_delete_marker:
        marker = deleted.removed
    if marker is None:
        return {}
    return {"DeleteMarker": True, member: marker.version_id or NULL_VERSION}
