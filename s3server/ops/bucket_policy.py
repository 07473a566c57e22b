"""Policies of buckets: put, get, delete, and whether they are public."""

from __future__ import annotations

from typing import Any

from s3server.auth.bucket_policy import is_public, parse_bucket_policy
from s3server.auth.policy import Policy
from s3server.auth.policy_parse import PolicyError
from s3server.configuration_errors import NoSuchBucketPolicy
from s3server.core.records import PolicyRecord
from s3server.errors import AccessDenied, MalformedPolicy
from s3server.operation import Ctx, handles
from s3server.ops.principals import bound_principals, shown_with_names
from s3server.ops.refusals import check_owner, refuse


@handles("PutBucketPolicy")
async def put_bucket_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set a bucket's policy; it holds for every request that begins after the answer.

    Owner and root can always replace and remove it, so none needs to confirm that they lock
    themselves out.
    """
    check_owner(ctx, request)
    refuse(request, "ConfirmRemoveSelfBucketAccess")
    bucket, text = ctx.require_bucket(), request["Policy"]
    policy = _parse(text, bucket.name)
    principals = await bound_principals(ctx, policy, MalformedPolicy)
    if is_public(policy):
        block = await ctx.services.access.block(bucket)
        if block.block_public_policy:
            raise AccessDenied(
                "Access Denied because public policies are prevented by BlockPublicPolicy."
            )
    await ctx.services.access.put_policy(bucket, text, principals)
    return {}


@handles("GetBucketPolicy")
async def get_bucket_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a bucket's policy as it was sent, as long as its principals are who they were."""
    found = await _policy(ctx, request)
    return {"Policy": await shown_with_names(ctx, found.text, found.principals)}


@handles("GetBucketPolicyStatus")
async def get_bucket_policy_status(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell whether a bucket's policy lets in whoever comes."""
    policy = _parse((await _policy(ctx, request)).text, ctx.require_bucket().name)
    return {"PolicyStatus": {"IsPublic": is_public(policy)}}


@handles("DeleteBucketPolicy")
async def delete_bucket_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove a bucket's policy. That there was none is no error."""
    check_owner(ctx, request)
    await ctx.services.access.put_policy(ctx.require_bucket(), None)
    return {}


async def _policy(ctx: Ctx, request: dict[str, Any]) -> PolicyRecord:
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    found = await ctx.services.access.policy(bucket)
    if found is None:
        raise NoSuchBucketPolicy(BucketName=bucket.name)
    return found[1]


def _parse(text: str, bucket: str) -> Policy:
    try:
        return parse_bucket_policy(text, bucket)
    except PolicyError as error:
        raise MalformedPolicy(str(error)) from None
