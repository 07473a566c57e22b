"""Buckets: create, head, location, delete."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from s3server.auth.acl import BUCKET_ACLS
from s3server.auth.authorise import OWNER_ENFORCED
from s3server.core.multipart import format_upload_id
from s3server.core.tags import MAX_BUCKET_TAGS, check_tags
from s3server.errors import (
    IllegalLocationConstraintException,
    InvalidBucketAclWithObjectOwnership,
    NoSuchUpload,
)
from s3server.operation import Ctx, handles
from s3server.ops.acls import Acl, acl_of_headers, check_public
from s3server.ops.refusals import check_owner, refuse

UPLOADS_ABORTED_AT_ONCE = 100


@handles("CreateBucket")
async def create_bucket(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a bucket in the one region that there is, its bytes in the pool asked for."""
    refuse(request, "BucketNamespace")
    configuration = request.get("CreateBucketConfiguration") or {}
    refuse(configuration, "Location", "Bucket")
    tags = [(tag["Key"], tag["Value"]) for tag in configuration.get("Tags") or ()]
    # "region:pool", either of which may be empty, as RGW has it.
    region, _, pool = (configuration.get("LocationConstraint") or "").partition(":")
    if region and not ctx.services.regions.accepts(region):
        raise IllegalLocationConstraintException(
            f"The {region} location constraint is not valid here; "
            f"the region is {ctx.services.regions.name}."
        )
    if tags:
        await ctx.door.permit(ctx.caller, "s3:TagResource", None, None, made=request["Bucket"])
    name, ownership = request["Bucket"], request.get("ObjectOwnership") or ""
    acl = await acl_of_headers(ctx, request, BUCKET_ACLS) or Acl("private")
    if ownership == OWNER_ENFORCED and acl != Acl("private"):
        raise InvalidBucketAclWithObjectOwnership
    if acl.is_public:
        block = await ctx.services.access.account_block(ctx.principal.account)
        if block is not None:
            check_public(acl, block)
    await ctx.services.buckets.create(
        name,
        ctx.principal,
        acl=acl.canned,
        grants=acl.grants,
        ownership=ownership,
        pool=pool,
        tags=check_tags(tags, most=MAX_BUCKET_TAGS),
        object_lock=bool(request.get("ObjectLockEnabledForBucket")),
    )
    return {"Location": f"/{name}"}


@handles("HeadBucket")
async def head_bucket(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell that a bucket exists, and its region."""
    check_owner(ctx, request)
    return {"BucketRegion": ctx.require_bucket().region, "AccessPointAlias": False}


@handles("GetBucketLocation")
async def get_bucket_location(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell a bucket's region; us-east-1 is told by an empty element, as S3 does."""
    check_owner(ctx, request)
    region = ctx.require_bucket().region
    return {"LocationConstraint": "" if region == "us-east-1" else region}


@handles("DeleteBucket")
async def delete_bucket(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete an empty bucket. Uploads in progress do not keep it: they are aborted."""
    check_owner(ctx, request)
    bucket, services = ctx.require_bucket(), ctx.services
    await services.buckets.check_empty(bucket)
    while uploads := await services.listing.first_uploads(bucket, UPLOADS_ABORTED_AT_ONCE):
        for upload in uploads:
            with suppress(NoSuchUpload):  # somebody else was faster
                await services.multipart.abort(bucket, upload.key, format_upload_id(upload.id))
    await services.buckets.delete(bucket)
    return {}
