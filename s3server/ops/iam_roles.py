"""IAM roles: made with whom they trust, shown, listed, changed, tagged and deleted."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.core.directory import ROLES
from s3server.core.identity_records import RoleRecord
from s3server.core.identity_tags import merge_tags, without_tags
from s3server.core.roles import DEFAULT_SESSION_S
from s3server.iam_errors import MalformedPolicyDocument
from s3server.model import Pairs
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import (
    MAX_ITEMS,
    page_of,
    paged,
    shown_role,
    shown_tags,
    tags_of,
)
from s3server.ops.principals import bound_principals, shown_trust


@handles("CreateRole")
async def create_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a role, which may do nothing yet, for whom its trust policy names."""
    role = await ctx.services.iam.roles.create(
        ctx.principal.account,
        request["RoleName"],
        request["AssumeRolePolicyDocument"],
        trusted=await _trusted(ctx, request["AssumeRolePolicyDocument"]),
        path=request.get("Path", "/"),
        description=request.get("Description", ""),
        tags=tags_of(request),
        max_session_s=request.get("MaxSessionDuration", DEFAULT_SESSION_S),
        boundary=request.get("PermissionsBoundary", ""),
    )
    return {"Role": shown_role(await shown_trust(ctx, role))}


@handles("GetRole")
async def get_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a role."""
    directory = ctx.services.iam.directory
    role = await directory.get(ROLES, ctx.principal.account, request["RoleName"])
    return {"Role": shown_role(await shown_trust(ctx, role))}


@handles("ListRoles")
async def list_roles(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the roles of the account, by name."""
    roles, has_more = await ctx.services.iam.directory.page(
        ROLES,
        ctx.principal.account,
        path=request.get("PathPrefix", "/"),
        after=request.get("Marker", ""),
        limit=request.get("MaxItems", MAX_ITEMS),
    )
    roles = [await shown_trust(ctx, role) for role in roles]
    return paged(
        "Roles", roles, has_more, lambda role: role.name, lambda role: shown_role(role, whole=False)
    )


@handles("UpdateRole")
async def update_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Change a role's description, or how long its sessions last at most."""

    def change(role: RoleRecord) -> RoleRecord:
        return replace(
            role,
            description=request.get("Description", role.description),
            max_session_s=request.get("MaxSessionDuration", role.max_session_s),
        )

    await ctx.services.iam.roles.update(ctx.principal.account, request["RoleName"], change)
    return {}


@handles("UpdateRoleDescription")
async def update_role_description(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Change a role's description; UpdateRole's forerunner."""

    def change(role: RoleRecord) -> RoleRecord:
        return replace(role, description=request["Description"])

    role = await ctx.services.iam.roles.update(ctx.principal.account, request["RoleName"], change)
    return {"Role": shown_role(await shown_trust(ctx, role))}


@handles("UpdateAssumeRolePolicy")
async def update_assume_role_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Replace whom a role trusts; its sessions go on."""
    trust, account = request["PolicyDocument"], ctx.principal.account
    trusted = await _trusted(ctx, trust)
    await ctx.services.iam.roles.set_trust(account, request["RoleName"], trust, trusted)
    return {}


@handles("DeleteRole")
async def delete_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a role that has no policies any more; its sessions end."""
    await ctx.services.iam.roles.delete(ctx.principal.account, request["RoleName"])
    return {}


@handles("TagRole")
async def tag_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a role."""

    def change(role: RoleRecord) -> RoleRecord:
        return replace(role, tags=merge_tags(role.tags, tags_of(request)))

    await ctx.services.iam.roles.update(ctx.principal.account, request["RoleName"], change)
    return {}


@handles("UntagRole")
async def untag_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove tags from a role."""

    def change(role: RoleRecord) -> RoleRecord:
        return replace(role, tags=without_tags(role.tags, request["TagKeys"]))

    await ctx.services.iam.roles.update(ctx.principal.account, request["RoleName"], change)
    return {}


@handles("ListRoleTags")
async def list_role_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the tags of a role."""
    directory = ctx.services.iam.directory
    role = await directory.get(ROLES, ctx.principal.account, request["RoleName"])
    return page_of(
        request, "Tags", role.tags, lambda tag: tag[0], lambda tag: shown_tags((tag,))[0]
    )


async def _trusted(ctx: Ctx, text: str) -> Pairs:
    """Return whom a trust policy names. Raises MalformedPolicyDocument where it is none."""
    try:
        policy = parse_policy(text, has_principals=True, has_resources=False)
    except PolicyError as error:
        raise MalformedPolicyDocument(str(error)) from None
    actions = [action for statement in policy.statements for action in statement.actions]
    if not all(action.start.lower().startswith("sts:") for action in actions):
        raise MalformedPolicyDocument("AssumeRole policy may only specify STS AssumeRole actions.")
    return await bound_principals(ctx, policy, MalformedPolicyDocument)
