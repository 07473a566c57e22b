"""Ownership controls of buckets: who owns what others store, and whether ACLs count."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.auth.acl import spelt_out
from s3server.auth.authorise import OWNER_ENFORCED
from s3server.configuration_errors import OwnershipControlsNotFoundError
from s3server.core.records import BucketRecord
from s3server.errors import (
    InvalidBucketAclWithObjectOwnership,
    MalformedXML,
)
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner


@handles("PutBucketOwnershipControls")
async def put_bucket_ownership_controls(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set who owns new objects: one rule. With BucketOwnerEnforced no ACL counts any more."""
    check_owner(ctx, request)
    rules = request["OwnershipControls"]["Rules"]
    if len(rules) != 1:
        raise MalformedXML
    ownership: str = rules[0]["ObjectOwnership"]

    def change(latest: BucketRecord) -> BucketRecord:
        if ownership == OWNER_ENFORCED and _grants_others(latest):
            raise InvalidBucketAclWithObjectOwnership
        return replace(latest, ownership=ownership)

    await ctx.services.buckets.update(ctx.require_bucket(), change)
    return {}


def _grants_others(bucket: BucketRecord) -> bool:
    grants = spelt_out(bucket.acl, bucket.grants, owner=bucket.owner, bucket_owner=bucket.owner)
    return any(grantee != bucket.owner for grantee, _ in grants)


@handles("GetBucketOwnershipControls")
async def get_bucket_ownership_controls(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the rule, where one was set."""
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    if not bucket.ownership:
        raise OwnershipControlsNotFoundError(BucketName=bucket.name)
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}


@handles("DeleteBucketOwnershipControls")
async def delete_bucket_ownership_controls(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove the rule: who stores an object owns it, and ACLs count."""
    check_owner(ctx, request)
    await ctx.services.buckets.update(
        ctx.require_bucket(), lambda latest: replace(latest, ownership="")
    )
    return {}
