"""The CORS configuration of a bucket. Browsers are answered by it in `browser.cors`."""

from __future__ import annotations

from typing import Any

from s3server.configuration_errors import NoSuchCORSConfiguration
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner
from s3server.wire.cors import check_rules


@handles("PutBucketCors")
async def put_bucket_cors(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store the rules in place of those before."""
    check_owner(ctx, request)
    document = request["CORSConfiguration"]
    check_rules(document["CORSRules"])
    await ctx.services.buckets.configure(ctx.require_bucket(), "cors", document)
    return {}


@handles("GetBucketCors")
async def get_bucket_cors(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the rules."""
    check_owner(ctx, request)
    document = await ctx.services.buckets.configuration(ctx.require_bucket(), "cors")
    if document is None:
        raise NoSuchCORSConfiguration(BucketName=request["Bucket"])
    return document


@handles("DeleteBucketCors")
async def delete_bucket_cors(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove the rules; it is no error where there are none."""
    check_owner(ctx, request)
    await ctx.services.buckets.configure(ctx.require_bucket(), "cors", None)
    return {}
