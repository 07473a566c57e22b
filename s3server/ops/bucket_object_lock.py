"""Object lock of a bucket: that it is there, and what new versions are kept for by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from s3server.configuration_errors import ObjectLockConfigurationNotFoundError
from s3server.core.locks import MAX_DAYS, MAX_YEARS
from s3server.core.records import BucketRecord
from s3server.errors import (
    InvalidArgument,
    InvalidBucketState,
    MalformedXML,
)
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner, refuse


@handles("PutObjectLockConfiguration")
async def put_object_lock_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Turn object lock on, which is for good, and set the default retention."""
    check_owner(ctx, request)
    refuse(request, "Token")
    configuration = request["ObjectLockConfiguration"]
    if configuration.get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML
    mode, days, years = _default_of(configuration)

    def change(bucket: BucketRecord) -> BucketRecord:
        if bucket.versioning != "Enabled":
            raise InvalidBucketState(
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            )
        return replace(bucket, object_lock=True, lock_mode=mode, lock_days=days, lock_years=years)

    await ctx.services.buckets.update(ctx.require_bucket(), change)
    return {}


@handles("GetObjectLockConfiguration")
async def get_object_lock_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration. Raises ObjectLockConfigurationNotFoundError."""
    check_owner(ctx, request)
    bucket = ctx.require_bucket()
    if not bucket.object_lock:
        raise ObjectLockConfigurationNotFoundError(BucketName=bucket.name)
    configuration: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
    if bucket.lock_mode:
        default = {
            "Mode": bucket.lock_mode,
            "Days": bucket.lock_days or None,
            "Years": bucket.lock_years or None,
        }
        given = {name: value for name, value in default.items() if value is not None}
        configuration["Rule"] = {"DefaultRetention": given}
    return {"ObjectLockConfiguration": configuration}


def _default_of(configuration: Mapping[str, Any]) -> tuple[str, int, int]:
    """Return mode, days and years of the default retention; "" where there is none."""
    if "Rule" not in configuration:
        return "", 0, 0
    default = configuration["Rule"].get("DefaultRetention") or {}
    mode, days, years = default.get("Mode"), default.get("Days"), default.get("Years")
    if mode is None or (days is None) == (years is None):
        raise MalformedXML
    for value, most in ((days, MAX_DAYS), (years, MAX_YEARS)):
        if value is not None and value < 1:
            raise InvalidArgument("Default retention period must be a positive integer value.")
        if value is not None and value > most:
            raise InvalidArgument(f"Default retention period must be {most} at most.")
    return mode, days or 0, years or 0
