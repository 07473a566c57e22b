"""IAM groups, and who is in them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.core.directory import GROUPS, USERS, Change
from s3server.core.identity_records import GroupRecord
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import (
    MAX_ITEMS,
    page_of,
    paged,
    permit_renamed,
    shown_group,
    shown_user,
)


@handles("CreateGroup")
async def create_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a group without users and policies."""
    group = await ctx.services.iam.groups.create(
        ctx.principal.account, request["GroupName"], request.get("Path", "/")
    )
    return {"Group": shown_group(group)}


@handles("GetGroup")
async def get_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a group and, in pages, its users."""
    iam = ctx.services.iam
    group = await iam.directory.get(GROUPS, ctx.principal.account, request["GroupName"])
    users = await iam.groups.users_of(group)
    return {"Group": shown_group(group)} | page_of(
        request,
        "Users",
        users,
        lambda user: user.name.lower(),
        lambda user: shown_user(user, whole=False),
    )


@handles("ListGroups")
async def list_groups(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the groups of the account, by name."""
    groups, has_more = await ctx.services.iam.directory.page(
        GROUPS,
        ctx.principal.account,
        path=request.get("PathPrefix", "/"),
        after=request.get("Marker", ""),
        limit=request.get("MaxItems", MAX_ITEMS),
    )
    return paged("Groups", groups, has_more, lambda group: group.name, shown_group)


@handles("UpdateGroup")
async def update_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give a group another name or path; users and policies stay."""

    async def make(group: GroupRecord) -> Change[GroupRecord]:
        name, path = request.get("NewGroupName", group.name), request.get("NewPath", group.path)
        return Change(replace(group, name=name, path=path))

    await permit_renamed(ctx, "UpdateGroup", GROUPS, request)
    await ctx.services.iam.directory.change(
        GROUPS, ctx.principal.account, request["GroupName"], make
    )
    return {}


@handles("DeleteGroup")
async def delete_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a group that has no users and policies any more."""
    await ctx.services.iam.groups.delete(ctx.principal.account, request["GroupName"])
    return {}


@handles("AddUserToGroup")
async def add_user_to_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Put a user into a group."""
    await ctx.services.iam.groups.add_user(
        ctx.principal.account, request["GroupName"], request["UserName"]
    )
    return {}


@handles("RemoveUserFromGroup")
async def remove_user_from_group(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Take a user out of a group."""
    await ctx.services.iam.groups.remove_user(
        ctx.principal.account, request["GroupName"], request["UserName"]
    )
    return {}


@handles("ListGroupsForUser")
async def list_groups_for_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the groups that a user is in."""
    iam = ctx.services.iam
    user = await iam.directory.get(USERS, ctx.principal.account, request["UserName"])
    groups = await iam.groups.of_user(user)
    return page_of(request, "Groups", groups, lambda group: group.name.lower(), shown_group)
