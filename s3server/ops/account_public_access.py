"""Public access blocks of accounts: they hold for every bucket of theirs (S3 Control)."""

from __future__ import annotations

import re
from typing import Any

from s3server.configuration_errors import NoSuchPublicAccessBlockConfiguration
from s3server.errors import (
    AccessDenied,
    InvalidRequest,
)
from s3server.operation import Ctx, handles
from s3server.ops.bucket_public_access import block_of, describe
from s3server.wire.request import ACCOUNT_HEADER

_ACCOUNT = re.compile(r"[A-Za-z0-9._@+=-]{1,64}").fullmatch


@handles("PutAccountPublicAccessBlock")
async def put_account_public_access_block(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set what is blocked for all buckets of an account, those that are there included."""
    await ctx.services.access.put_account_block(_account(ctx), block_of(request))
    return {}


@handles("GetAccountPublicAccessBlock")
async def get_account_public_access_block(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return what is blocked for an account, where that was set."""
    block = await ctx.services.access.account_block(_account(ctx))
    if block is None:
        raise NoSuchPublicAccessBlockConfiguration
    return describe(block)


@handles("DeleteAccountPublicAccessBlock")
async def delete_account_public_access_block(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Block nothing any more, as far as the account is concerned."""
    await ctx.services.access.put_account_block(_account(ctx), None)
    return {}


def _account(ctx: Ctx) -> str:
    """Return the account of the request: the caller's own, unless root asks."""
    account = ctx.http.headers[ACCOUNT_HEADER]
    if not ctx.principal.is_root and account != ctx.principal.account:
        raise AccessDenied
    if _ACCOUNT(account) is None:
        raise InvalidRequest(f"The header {ACCOUNT_HEADER} does not name an account.")
    return account
