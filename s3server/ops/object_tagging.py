"""Tags of objects."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.core.records import ObjectRecord
from s3server.core.tags import MAX_OBJECT_TAGS, Tags, check_tags
from s3server.core.versions import shown_version_id
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner


@handles("PutObjectTagging")
async def put_object_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set all tags of a version."""
    check_owner(ctx, request)
    pairs = [(tag["Key"], tag["Value"]) for tag in request["Tagging"]["TagSet"]]
    return await _set(ctx, request, check_tags(pairs, most=MAX_OBJECT_TAGS), "Put")


@handles("DeleteObjectTagging")
async def delete_object_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove all tags of a version."""
    check_owner(ctx, request)
    return await _set(ctx, request, (), "Delete")


@handles("GetObjectTagging")
async def get_object_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of a version; it is no error where there are none."""
    check_owner(ctx, request)
    bucket, key, version_id = ctx.require_bucket(), request["Key"], request.get("VersionId")
    record = await ctx.services.objects.get(bucket, key, version_id)
    ctx.confirm("s3:GetObjectTagging", bucket, key, record, version_id)
    return {
        "TagSet": [{"Key": key, "Value": value} for key, value in record.tags],
        "VersionId": shown_version_id(bucket, record),
    }


async def _set(ctx: Ctx, request: dict[str, Any], tags: Tags, done: str) -> dict[str, Any]:
    bucket, key, version_id = ctx.require_bucket(), request["Key"], request.get("VersionId")
    action = "s3:PutObjectTagging" if done == "Put" else "s3:DeleteObjectTagging"

    def change(record: ObjectRecord) -> ObjectRecord:
        ctx.confirm(action, bucket, key, record, version_id)
        return replace(record, tags=tags)

    cause = ctx.cause(f"ObjectTagging:{done}")
    record = await ctx.services.objects.amend(bucket, key, version_id, change, cause)
    return {"VersionId": shown_version_id(bucket, record)}
