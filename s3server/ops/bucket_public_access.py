"""Public access blocks of buckets: what keeps them from being public."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.configuration_errors import NoSuchPublicAccessBlockConfiguration
from s3server.model import PublicAccessBlock
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner

_MEMBERS = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}


@handles("PutPublicAccessBlock")
async def put_public_access_block(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set what is blocked; what the document does not mention is not."""
    check_owner(ctx, request)
    block = block_of(request)
    await ctx.services.buckets.update(
        ctx.require_bucket(), lambda latest: replace(latest, public_access_block=block)
    )
    return {}


@handles("GetPublicAccessBlock")
async def get_public_access_block(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the bucket itself blocks, where that was set."""
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    block = bucket.public_access_block
    if block is None:
        raise NoSuchPublicAccessBlockConfiguration(BucketName=bucket.name)
    return describe(block)


@handles("DeletePublicAccessBlock")
async def delete_public_access_block(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Block nothing any more, as far as the bucket is concerned."""
    check_owner(ctx, request)
    await ctx.services.buckets.update(
        ctx.require_bucket(), lambda latest: replace(latest, public_access_block=None)
    )
    return {}


def block_of(request: dict[str, Any]) -> PublicAccessBlock:
    """Return what a request asks to block."""
    given = request["PublicAccessBlockConfiguration"]
    return PublicAccessBlock(
        **{field: given.get(member, False) for member, field in _MEMBERS.items()}
    )


def describe(block: PublicAccessBlock) -> dict[str, Any]:
    """Return the answer that shows what is blocked."""
    shown = {member: getattr(block, field) for member, field in _MEMBERS.items()}
    return {"PublicAccessBlockConfiguration": shown}
