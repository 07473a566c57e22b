"""Access control by attributes: whether conditions of policies may ask for a bucket's tags."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.core.records import BucketRecord
from s3server.errors import MalformedXML
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner

_ENABLED, _DISABLED = "Enabled", "Disabled"


@handles("PutBucketAbac")
async def put_bucket_abac(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Let conditions ask for the bucket's tags (aws:ResourceTag, s3:BucketTag), or no longer.

    Where they may not, nothing follows from such a condition. On AWS tags of such a bucket are set
    by S3 Control alone; here PutBucketTagging goes on to set them.
    """
    check_owner(ctx, request)
    status = request["AbacStatus"].get("Status")
    if status is None:
        raise MalformedXML

    def change(bucket: BucketRecord) -> BucketRecord:
        return replace(bucket, abac=status == _ENABLED)

    await ctx.services.buckets.update(ctx.require_bucket(), change)
    return {}


@handles("GetBucketAbac")
async def get_bucket_abac(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return whether conditions may."""
    check_owner(ctx, request)
    return {"AbacStatus": {"Status": _ENABLED if ctx.require_bucket().abac else _DISABLED}}
