"""What an upload, or a request about retention, says of an object's lock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from s3server.core.locks import COMPLIANCE, GOVERNANCE, Retention
from s3server.core.records import BucketRecord
from s3server.errors import AccessDenied, InvalidArgument, InvalidRequest
from s3server.operation import Ctx


def lock_of(ctx: Ctx, request: Mapping[str, Any]) -> tuple[Retention, str]:
    """Return retention and legal hold that the headers of an upload ask for."""
    mode, until = request.get("ObjectLockMode"), request.get("ObjectLockRetainUntilDate")
    hold = request.get("ObjectLockLegalHoldStatus")
    if mode is None and until is None and hold is None:
        return Retention(), ""
    locked_bucket(ctx)
    if hold not in (None, "ON", "OFF"):
        raise InvalidArgument(
            "Legal hold must be either of 'ON' or 'OFF'",
            ArgumentName="x-amz-object-lock-legal-hold",
            ArgumentValue=str(hold),
        )
    if mode is None and until is None:
        return Retention(), hold or ""
    if mode is None or until is None:
        raise InvalidArgument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        )
    return retention(mode, until, ctx.services.clock.now_ms()), hold or ""


def retention(mode: str, until: datetime, now_ms: int) -> Retention:
    """Return a retention that a client asks for. Raises InvalidArgument."""
    if mode not in (GOVERNANCE, COMPLIANCE):
        raise InvalidArgument(
            "Unknown wormMode directive.",
            ArgumentName="x-amz-object-lock-mode",
            ArgumentValue=mode,
        )
    until_ms = int(until.timestamp() * 1000)
    if until_ms <= now_ms:
        raise InvalidArgument(
            "The retain until date must be in the future!",
            ArgumentName="x-amz-object-lock-retain-until-date",
            ArgumentValue=until.isoformat(),
        )
    return Retention(mode, until_ms)


def locked_bucket(ctx: Ctx) -> BucketRecord:
    """Return the bucket of the URL. Raises InvalidRequest where it has no object lock."""
    bucket = ctx.require_bucket()
    if not bucket.object_lock:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")
    return bucket


async def may_bypass(
    ctx: Ctx, request: Mapping[str, Any], key: str, version_id: str | None
) -> bool:
    """Return whether governance is lifted: the request asks for it, and its sender may."""
    if not request.get("BypassGovernanceRetention"):
        return False
    try:
        await ctx.require(
            "s3:BypassGovernanceRetention", ctx.require_bucket().name, key, version=version_id
        )
    except AccessDenied:
        return False
    return True
