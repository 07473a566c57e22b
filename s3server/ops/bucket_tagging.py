"""Tags of buckets."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.core.records import BucketRecord
from s3server.core.tags import MAX_BUCKET_TAGS, Tags, check_tags
from s3server.errors import NoSuchTagSet
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner


@handles("PutBucketTagging")
async def put_bucket_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set all tags of a bucket."""
    check_owner(ctx, request)
    pairs = [(tag["Key"], tag["Value"]) for tag in request["Tagging"]["TagSet"]]
    await _set(ctx, check_tags(pairs, most=MAX_BUCKET_TAGS))
    return {}


@handles("DeleteBucketTagging")
async def delete_bucket_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove all tags of a bucket."""
    check_owner(ctx, request)
    await _set(ctx, ())
    return {}


@handles("GetBucketTagging")
async def get_bucket_tagging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of a bucket. Raises NoSuchTagSet where there are none."""
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    if not bucket.tags:
        raise NoSuchTagSet(BucketName=bucket.name)
    return {"TagSet": [{"Key": key, "Value": value} for key, value in bucket.tags]}


async def _set(ctx: Ctx, tags: Tags) -> None:
    def change(bucket: BucketRecord) -> BucketRecord:
        return replace(bucket, tags=tags)

    await ctx.services.buckets.update(ctx.require_bucket(), change)
