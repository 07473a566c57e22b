"""Buckets: create, head, location, delete."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from s3server import errors
from s3server.core.multipart import format_upload_id
from s3server.errors import (
    IllegalLocationConstraintException,
    InvalidArgument,
    NoSuchUpload,
)
from s3server.operation import Ctx, handles
from s3server.ops.refusals import GRANTS, check_owner, refuse

CANNED_ACLS = ("private", "public-read", "public-read-write", "authenticated-read")
UPLOADS_ABORTED_AT_ONCE = 100


@handles("CreateBucket")
async def create_bucket(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a bucket in the one region that there is, its bytes in the pool asked for."""
    refuse(request, *GRANTS, "ObjectLockEnabledForBucket", "BucketNamespace")
    configuration = request.get("CreateBucketConfiguration") or {}
    refuse(configuration, "Location", "Bucket", "Tags")
    if request.get("ObjectOwnership") not in (None, "ObjectWriter", "BucketOwnerPreferred"):
        raise errors.NotImplemented(
            "Ownership controls are not implemented yet.", Header="x-amz-object-ownership"
        )
    acl = request.get("ACL") or "private"
    if acl not in CANNED_ACLS:
        raise InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=acl)
    # "region:pool", either of which may be empty, as RGW has it.
    region, _, pool = (configuration.get("LocationConstraint") or "").partition(":")
    if region and not ctx.services.regions.accepts(region):
        raise IllegalLocationConstraintException(
            f"The {region} location constraint is not valid here; "
            f"the region is {ctx.services.regions.name}."
        )
    name = request["Bucket"]
    await ctx.services.buckets.create(name, ctx.principal, acl=acl, pool=pool)
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
