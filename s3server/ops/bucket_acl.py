"""The access control lists of buckets."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.auth.acl import BUCKET_ACLS
from s3server.auth.authorise import OWNER_ENFORCED
from s3server.core.records import BucketRecord
from s3server.errors import AccessControlListNotSupported
from s3server.operation import Ctx, handles
from s3server.ops.acls import acl_of_request, describe, refuse_public
from s3server.ops.refusals import check_owner


@handles("GetBucketAcl")
async def get_bucket_acl(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return who may do what with a bucket, as far as its ACL says it."""
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    acl, grants = bucket.acl, bucket.grants
    if bucket.ownership == OWNER_ENFORCED:
        acl, grants = "private", ()
    return await describe(ctx, acl, grants, owner=bucket.owner, bucket_owner=bucket.owner)


@handles("PutBucketAcl")
async def put_bucket_acl(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Replace a bucket's ACL."""
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    acl = await acl_of_request(ctx, request, BUCKET_ACLS, bucket.owner)
    await refuse_public(ctx, bucket, acl)

    def change(latest: BucketRecord) -> BucketRecord:
        if latest.ownership == OWNER_ENFORCED:
            raise AccessControlListNotSupported
        return replace(latest, acl=acl.canned, grants=acl.grants)

    await ctx.services.buckets.update(bucket, change)
    return {}
