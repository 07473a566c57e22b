"""Buckets that the server is to store access logs and inventories in, for somebody who asks."""

from __future__ import annotations

from s3server.auth.policy import Verdict
from s3server.core.records import BucketRecord
from s3server.door import lets_in, said_of_delivery
from s3server.operation import Ctx


async def find_target(
    ctx: Ctx, service: str, name: str, key: str, *, with_acl: bool = False
) -> BucketRecord | None:
    """Return the bucket of that name; None where it is not there, or does not let the service in.

    Where it is not its policy that lets the service in, whoever asks has to be somebody who could
    store such a key there, and give it an ACL: else the server would do it for them. Raises
    AccessDenied.
    """
    found, source = await ctx.services.buckets.find(name), ctx.require_bucket()
    if found is None:
        return None
    target, access, now_ms = found[0], ctx.services.access, ctx.services.clock.now_ms()
    said = await said_of_delivery(access, service, source, target, key=key, now_ms=now_ms)
    if not lets_in(said, service, source, target):
        return None
    if said is Verdict.SILENT:
        await ctx.require("s3:PutObject", name, key)
        if with_acl:
            await ctx.require("s3:PutObjectAcl", name, key)
    return target
