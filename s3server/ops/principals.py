"""Principals of policies: they have to be there when it is put, and are shown as they are now."""

from __future__ import annotations

from msgspec.structs import replace

from s3server.auth.policy import Policy
from s3server.core.identity_records import RoleRecord
from s3server.core.named_principals import bind_names, show_names
from s3server.errors import S3Error
from s3server.model import Pairs
from s3server.operation import Ctx


async def bound_principals(ctx: Ctx, policy: Policy, refusal: type[S3Error]) -> Pairs:
    """Return whom a policy names, with their canonical ids. Raises `refusal` where one is not."""
    named = policy.named
    bound = await bind_names(ctx.services.iam.directory, named)
    if len(bound) < len(named):
        raise refusal("Invalid principal in policy")
    return bound


async def shown_with_names(ctx: Ctx, text: str, bound: Pairs) -> str:
    """Return a policy with names as they are now, and unique ids for who is gone."""
    return await show_names(ctx.services.iam.directory, text, bound)


async def shown_trust(ctx: Ctx, role: RoleRecord) -> RoleRecord:
    """Return a role with its trust policy as it is shown."""
    text = await shown_with_names(ctx, role.trust_policy, role.trusted)
    return replace(role, trust_policy=text)
