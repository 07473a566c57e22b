"""Managed policies attached to users, groups and roles, and boundaries of users and roles."""

from __future__ import annotations

from typing import Any

from s3server.core.directory import GROUPS, ROLES, USERS, Kind
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import page_of


@handles("AttachUserPolicy")
async def attach_user_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Attach a managed policy to a user."""
    return await _attach(ctx, USERS, request["UserName"], request)


@handles("DetachUserPolicy")
async def detach_user_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Detach a managed policy from a user, who gains nothing by it."""
    return await _detach(ctx, USERS, request["UserName"], request)


@handles("ListAttachedUserPolicies")
async def list_attached_user_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the managed policies that are attached to a user."""
    return await _list(ctx, USERS, request["UserName"], request)


@handles("AttachGroupPolicy")
async def attach_group_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Attach a managed policy to a group."""
    return await _attach(ctx, GROUPS, request["GroupName"], request)


@handles("DetachGroupPolicy")
async def detach_group_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Detach a managed policy from a group, who gains nothing by it."""
    return await _detach(ctx, GROUPS, request["GroupName"], request)


@handles("ListAttachedGroupPolicies")
async def list_attached_group_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the managed policies that are attached to a group."""
    return await _list(ctx, GROUPS, request["GroupName"], request)


@handles("AttachRolePolicy")
async def attach_role_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Attach a managed policy to a role."""
    return await _attach(ctx, ROLES, request["RoleName"], request)


@handles("DetachRolePolicy")
async def detach_role_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Detach a managed policy from a role, who gains nothing by it."""
    return await _detach(ctx, ROLES, request["RoleName"], request)


@handles("ListAttachedRolePolicies")
async def list_attached_role_policies(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the managed policies that are attached to a role."""
    return await _list(ctx, ROLES, request["RoleName"], request)


@handles("PutUserPermissionsBoundary")
async def put_user_permissions_boundary(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Let a managed policy limit a user."""
    await ctx.services.iam.attachments.put_boundary(
        USERS, ctx.principal.account, request["UserName"], request["PermissionsBoundary"]
    )
    return {}


@handles("DeleteUserPermissionsBoundary")
async def delete_user_permissions_boundary(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Take the limit from a user."""
    account = ctx.principal.account
    await ctx.services.iam.attachments.delete_boundary(USERS, account, request["UserName"])
    return {}


@handles("PutRolePermissionsBoundary")
async def put_role_permissions_boundary(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Let a managed policy limit a role."""
    await ctx.services.iam.attachments.put_boundary(
        ROLES, ctx.principal.account, request["RoleName"], request["PermissionsBoundary"]
    )
    return {}


@handles("DeleteRolePermissionsBoundary")
async def delete_role_permissions_boundary(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Take the limit from a role."""
    account = ctx.principal.account
    await ctx.services.iam.attachments.delete_boundary(ROLES, account, request["RoleName"])
    return {}


async def _attach(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    account = ctx.principal.account
    await ctx.services.iam.attachments.attach(kind, account, name, request["PolicyArn"])
    return {}


async def _detach(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    account = ctx.principal.account
    await ctx.services.iam.attachments.detach(kind, account, name, request["PolicyArn"])
    return {}


async def _list(ctx: Ctx, kind: Kind[Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    holder = await ctx.services.iam.directory.get(kind, ctx.principal.account, name)
    return page_of(
        request,
        "AttachedPolicies",
        [arn for arn in holder.bindings.managed if _path(arn).startswith(_prefix(request))],
        str,
        attached,
    )


def attached(arn: str) -> dict[str, str]:
    """Return how an attached policy is shown."""
    return {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}


def _path(arn: str) -> str:
    return arn.split(":policy", 1)[1]


def _prefix(request: dict[str, Any]) -> str:
    return str(request.get("PathPrefix", "/"))
