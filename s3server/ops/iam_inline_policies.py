"""Inline policies of users, groups and roles: put, shown, listed, deleted."""

from __future__ import annotations

from typing import Any

from s3server.core.directory import GROUPS, ROLES, USERS, Kind
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import check_document, page_of, shown_document


@handles("PutUserPolicy")
async def put_user_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give a user a policy, or replace it."""
    return await _put(ctx, USERS, request["UserName"], request)


@handles("GetUserPolicy")
async def get_user_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of a user."""
    shown = await _get(ctx, USERS, request["UserName"], request)
    return {"UserName": request["UserName"], **shown}


@handles("ListUserPolicies")
async def list_user_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the names of a user's policies."""
    return await _list(ctx, USERS, request["UserName"], request)


@handles("DeleteUserPolicy")
async def delete_user_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Take a policy from a user, who gains nothing by it."""
    return await _delete(ctx, USERS, request["UserName"], request)


@handles("PutGroupPolicy")
async def put_group_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give a group a policy, or replace it."""
    return await _put(ctx, GROUPS, request["GroupName"], request)


@handles("GetGroupPolicy")
async def get_group_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of a group."""
    shown = await _get(ctx, GROUPS, request["GroupName"], request)
    return {"GroupName": request["GroupName"], **shown}


@handles("ListGroupPolicies")
async def list_group_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the names of a group's policies."""
    return await _list(ctx, GROUPS, request["GroupName"], request)


@handles("DeleteGroupPolicy")
async def delete_group_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Take a policy from a group, who gains nothing by it."""
    return await _delete(ctx, GROUPS, request["GroupName"], request)


@handles("PutRolePolicy")
async def put_role_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give a role a policy, or replace it."""
    return await _put(ctx, ROLES, request["RoleName"], request)


@handles("GetRolePolicy")
async def get_role_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of a role."""
    shown = await _get(ctx, ROLES, request["RoleName"], request)
    return {"RoleName": request["RoleName"], **shown}


@handles("ListRolePolicies")
async def list_role_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the names of a role's policies."""
    return await _list(ctx, ROLES, request["RoleName"], request)


@handles("DeleteRolePolicy")
async def delete_role_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Take a policy from a role, who gains nothing by it."""
    return await _delete(ctx, ROLES, request["RoleName"], request)


async def _put(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    text = check_document(request["PolicyDocument"])
    await ctx.services.iam.attachments.put_inline(
        kind, ctx.principal.account, name, request["PolicyName"], text
    )
    return {}


async def _get(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    policy = request["PolicyName"]
    text = await ctx.services.iam.attachments.inline(kind, ctx.principal.account, name, policy)
    return {"PolicyName": policy, "PolicyDocument": shown_document(text)}


async def _list(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    holder = await ctx.services.iam.directory.get(kind, ctx.principal.account, name)
    names = [policy for policy, _ in holder.bindings.inline]
    return page_of(request, "PolicyNames", names, str, str)


async def _delete(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    await ctx.services.iam.attachments.delete_inline(
        kind, ctx.principal.account, name, request["PolicyName"]
    )
    return {}
