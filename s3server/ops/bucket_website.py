"""The website configuration of a bucket. Browsers are answered by it in `browser.website`."""

from __future__ import annotations

from typing import Any

from s3server.configuration_errors import NoSuchWebsiteConfiguration
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner
from s3server.wire.website import check_website


@handles("PutBucketWebsite")
async def put_bucket_website(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store the configuration in place of the one before."""
    check_owner(ctx, request)
    document = request["WebsiteConfiguration"]
    check_website(document)
    await ctx.services.buckets.configure(ctx.require_bucket(), "website", document)
    return {}


@handles("GetBucketWebsite")
async def get_bucket_website(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration."""
    check_owner(ctx, request)
    document = await ctx.services.buckets.configuration(ctx.require_bucket(), "website")
    if document is None:
        raise NoSuchWebsiteConfiguration(BucketName=request["Bucket"])
    return document


@handles("DeleteBucketWebsite")
async def delete_bucket_website(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove the configuration; it is no error where there is none."""
    check_owner(ctx, request)
    await ctx.services.buckets.configure(ctx.require_bucket(), "website", None)
    return {}
