"""Managed policies: made, shown, listed, tagged and deleted, and who has them."""

from __future__ import annotations

from typing import Any

from s3server.arns import GROUP_ID, ROLE_ID, USER_ID, unique_id
from s3server.core.identity_records import ManagedPolicyRecord
from s3server.core.managed_policies import AWS, Use
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import (
    check_document,
    page_of,
    shown_policy,
    shown_tags,
    tags_of,
)

_LISTS = {
    "user": ("PolicyUsers", "User", USER_ID),
    "group": ("PolicyGroups", "Group", GROUP_ID),
    "role": ("PolicyRoles", "Role", ROLE_ID),
}


@handles("CreatePolicy")
async def create_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a managed policy; its document becomes version v1."""
    policy = await ctx.services.iam.policies.create(
        ctx.principal.account,
        request["PolicyName"],
        check_document(request["PolicyDocument"]),
        path=request.get("Path", "/"),
        description=request.get("Description", ""),
        tags=tags_of(request),
    )
    return {"Policy": shown_policy(policy, (0, 0))}


@handles("GetPolicy")
async def get_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a managed policy without its document."""
    policies, account = ctx.services.iam.policies, ctx.principal.account
    policy = await policies.get(account, request["PolicyArn"])
    return {"Policy": shown_policy(policy, await policies.count_uses(account, policy))}


@handles("ListPolicies")
async def list_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List managed policies: the account's, those that every account has, or both."""
    policies, account = ctx.services.iam.policies, ctx.principal.account
    scope = request.get("Scope", "All")
    owners = [owner for owner, name in ((account, "Local"), (AWS, "AWS")) if scope in ("All", name)]
    kind = request.get("PolicyUsageFilter")
    found: list[tuple[ManagedPolicyRecord, tuple[int, int]]] = []
    for owner in owners:
        async for policy in policies.all_of(owner):
            if not policy.path.startswith(request.get("PathPrefix", "/")):
                continue
            uses = await policies.count_uses(account, policy)
            if request.get("OnlyAttached") and not any(uses):
                continue
            if kind is not None and not uses[kind == "PermissionsBoundary"]:
                continue
            found.append((policy, uses))
    return page_of(
        request,
        "Policies",
        found,
        lambda each: f"{each[0].account} {each[0].name.lower()}",
        lambda each: shown_policy(*each, whole=False),
    )


@handles("DeletePolicy")
async def delete_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a managed policy that nobody has, and that has one version only."""
    await ctx.services.iam.policies.delete(ctx.principal.account, request["PolicyArn"])
    return {}


@handles("ListEntitiesForPolicy")
async def list_entities_for_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List who has a managed policy, attached or as boundary."""
    policies, account = ctx.services.iam.policies, ctx.principal.account
    policy = await policies.get(account, request["PolicyArn"])
    wanted = request.get("EntityFilter", "").lower()
    usage = request.get("PolicyUsageFilter")
    uses = [
        use
        for use in await policies.uses(account, policy)
        if wanted in ("", use.noun)
        and usage in (None, "PermissionsBoundary" if use.is_boundary else "PermissionsPolicy")
        and use.holder.path.startswith(request.get("PathPrefix", "/"))
    ]
    unique = {(use.noun, use.holder.id): use for use in uses}
    page = page_of(request, "uses", list(unique.values()), _place, lambda use: use)
    result: dict[str, Any] = {name: [] for name, _, _ in _LISTS.values()}
    for use in page.pop("uses"):
        name, noun, prefix = _LISTS[use.noun]
        shown = {f"{noun}Name": use.holder.name, f"{noun}Id": unique_id(prefix, use.holder.id)}
        result[name].append(shown)
    return {**result, **page}


@handles("TagPolicy")
async def tag_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a managed policy."""
    account = ctx.principal.account
    await ctx.services.iam.policies.tag(account, request["PolicyArn"], tags_of(request))
    return {}


@handles("UntagPolicy")
async def untag_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove tags from a managed policy."""
    account = ctx.principal.account
    await ctx.services.iam.policies.untag(account, request["PolicyArn"], request["TagKeys"])
    return {}


@handles("ListPolicyTags")
async def list_policy_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the tags of a managed policy."""
    policy = await ctx.services.iam.policies.get(ctx.principal.account, request["PolicyArn"])
    return page_of(
        request, "Tags", policy.tags, lambda tag: tag[0], lambda tag: shown_tags((tag,))[0]
    )


def _place(use: Use) -> str:
    return f"{use.noun} {use.holder.name.lower()}"
