"""Access keys of IAM users: any number of them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.core.records import AccessKeyRecord
from s3server.errors import NoSuchEntity
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at
from s3server.ops.iam_shapes import named_user, page_of


@handles("CreateAccessKey")
async def create_access_key(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a key; this answer is the only one that ever shows its secret."""
    name, account = named_user(ctx, request), ctx.principal.account
    key, secret = await ctx.services.users.create_key(name, account=account)
    return {"AccessKey": {**_shown(key, name), "SecretAccessKey": secret}}


@handles("ListAccessKeys")
async def list_access_keys(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the keys of a user, without their secrets."""
    name, account = named_user(ctx, request), ctx.principal.account
    user = await ctx.services.users.get_user(name, account=account)
    keys = await ctx.services.users.list_keys(name, account=account)
    return page_of(
        request, "AccessKeyMetadata", keys, lambda key: key.id, lambda key: _shown(key, user.name)
    )


@handles("UpdateAccessKey")
async def update_access_key(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Make a key active or inactive, from the next request on."""
    is_active = request["Status"] == "Active"
    users, account = ctx.services.users, ctx.principal.account
    user = await users.get_user(named_user(ctx, request), account=account)
    await users.update_key(
        request["AccessKeyId"], user.id, lambda key: replace(key, is_active=is_active)
    )
    return {}


@handles("DeleteAccessKey")
async def delete_access_key(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a key of a user."""
    users, account = ctx.services.users, ctx.principal.account
    user = await users.get_user(named_user(ctx, request), account=account)
    await users.delete_key(request["AccessKeyId"], user.id)
    return {}


@handles("GetAccessKeyLastUsed")
async def get_access_key_last_used(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell when a key was last used, to some minutes, and for which service."""
    key_id = request["AccessKeyId"]
    found = await ctx.services.users.find_key(key_id)
    if found is None or found[1].account != ctx.principal.account:
        raise NoSuchEntity(f"The Access Key with id {key_id} cannot be found.")
    used = await ctx.services.iam.last_used.find(key_id)
    shown: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    if used is not None:
        shown = {
            "LastUsedDate": at(used.at_ms),
            "ServiceName": used.service,
            "Region": ctx.services.regions.name,
        }
    return {"UserName": found[1].name, "AccessKeyLastUsed": shown}


def _shown(key: AccessKeyRecord, user_name: str) -> dict[str, Any]:
    return {
        "UserName": user_name,
        "AccessKeyId": key.id,
        "Status": "Active" if key.is_active else "Inactive",
        "CreateDate": at(key.created_ms),
    }
