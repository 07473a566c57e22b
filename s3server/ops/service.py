"""The service: whose buckets there are."""

from __future__ import annotations

from typing import Any

from s3server.errors import InvalidArgument
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at

MAX_BUCKETS = 10_000


@handles("ListBuckets")
async def list_buckets(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the caller's buckets; root, who runs the store, sees everybody's."""
    limit = request.get("MaxBuckets", MAX_BUCKETS)
    if not 1 <= limit <= MAX_BUCKETS:
        raise InvalidArgument(ArgumentName="max-buckets", ArgumentValue=str(limit))
    prefix = request.get("Prefix", "")
    owner = None if ctx.principal.is_root else ctx.principal.id
    region = request.get("BucketRegion") or ctx.services.regions.name
    buckets = []
    if region == ctx.services.regions.name:  # all there are
        buckets = await ctx.services.buckets.list_owned(
            owner, prefix=prefix, after=request.get("ContinuationToken", ""), limit=limit + 1
        )
    result: dict[str, Any] = {
        "Owner": {"ID": ctx.principal.id, "DisplayName": ctx.principal.name},
        "Buckets": [
            {
                "Name": bucket.name,
                "CreationDate": at(bucket.created_ms),
                "BucketRegion": bucket.region,
            }
            for bucket in buckets[:limit]
        ],
    }
    if prefix:
        result["Prefix"] = prefix
    if len(buckets) > limit:
        result["ContinuationToken"] = buckets[limit - 1].name
    return result
