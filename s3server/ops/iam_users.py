"""IAM users: made, shown, listed, renamed, tagged and deleted."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.arns import arns_of
from s3server.core.directory import USERS
from s3server.core.identity_tags import merge_tags, without_tags
from s3server.core.records import UserRecord
from s3server.iam_errors import InvalidInput
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at
from s3server.ops.iam_key_tags import (
    changes_of_keys,
    is_of_key,
    key_tags,
    permit_changes_of_keys,
)
from s3server.ops.iam_shapes import (
    MAX_ITEMS,
    named_user,
    page_of,
    paged,
    permit_renamed,
    shown_tags,
    shown_user,
    tags_of,
)


@handles("CreateUser")
async def create_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a user, who may do nothing but what policies will allow."""
    if any(is_of_key(name) for name, _ in tags_of(request)):
        raise InvalidInput("A user that is being made has no keys that tags could be of.")
    user = await ctx.services.users.create_user(
        request["UserName"],
        account=ctx.principal.account,
        path=request.get("Path", "/"),
        tags=tags_of(request),
        is_bound=True,
        boundary=request.get("PermissionsBoundary", ""),
    )
    return {"User": shown_user(user)}


@handles("GetUser")
async def get_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a user; the caller where none is named."""
    account = ctx.principal.account
    if "UserName" not in request and ctx.principal.is_root:
        return {
            "User": {
                "Path": "/",
                "UserName": "root",
                "UserId": account,
                "Arn": arns_of(ctx.principal)[0],
                "CreateDate": at(0),
            }
        }
    user = await ctx.services.users.get_user(named_user(ctx, request), account=account)
    return {"User": shown_user(user)}


@handles("ListUsers")
async def list_users(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the users of the account, by name."""
    users, has_more = await ctx.services.iam.directory.page(
        USERS,
        ctx.principal.account,
        path=request.get("PathPrefix", "/"),
        after=request.get("Marker", ""),
        limit=request.get("MaxItems", MAX_ITEMS),
    )
    return paged(
        "Users", users, has_more, lambda user: user.name, lambda user: shown_user(user, whole=False)
    )


@handles("UpdateUser")
async def update_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give a user another name or path; keys, policies and groups stay."""

    def change(user: UserRecord) -> UserRecord:
        return replace(
            user,
            name=request.get("NewUserName", user.name),
            path=request.get("NewPath", user.path),
        )

    account = ctx.principal.account
    await permit_renamed(ctx, "UpdateUser", USERS, request)
    await ctx.services.users.update_user(request["UserName"], change, account=account)
    return {}


@handles("DeleteUser")
async def delete_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a user who has no keys, policies and groups any more."""
    await ctx.services.users.remove_user(request["UserName"], account=ctx.principal.account)
    return {}


@handles("TagUser")
async def tag_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a user; some are settings of a key, see `iam_key_tags`."""
    name, account, tags = request["UserName"], ctx.principal.account, tags_of(request)
    plain = tuple(tag for tag in tags if not is_of_key(tag[0]))
    of_keys = changes_of_keys({key: value for key, value in tags if is_of_key(key)})
    if of_keys:
        await permit_changes_of_keys(ctx, name)

    def change(user: UserRecord) -> UserRecord:
        return replace(user, tags=merge_tags(user.tags, plain))

    await ctx.services.users.update_user(name, change, account=account, of_keys=of_keys)
    return {}


@handles("UntagUser")
async def untag_user(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove tags from a user."""
    name, account, keys = request["UserName"], ctx.principal.account, request["TagKeys"]
    of_keys = changes_of_keys({key: "" for key in keys if is_of_key(key)})
    if of_keys:
        await permit_changes_of_keys(ctx, name)

    def change(user: UserRecord) -> UserRecord:
        return replace(user, tags=without_tags(user.tags, keys))

    await ctx.services.users.update_user(name, change, account=account, of_keys=of_keys)
    return {}


@handles("ListUserTags")
async def list_user_tags(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the tags of a user, and the settings of their keys."""
    name, account = request["UserName"], ctx.principal.account
    user = await ctx.services.users.get_user(name, account=account)
    keys = await ctx.services.users.list_keys(name, account=account)
    tags = [*user.tags, *(tag for key in keys for tag in key_tags(key))]
    return page_of(request, "Tags", tags, lambda tag: tag[0], lambda tag: shown_tags((tag,))[0])
