"""Versioning of a bucket: enabled, suspended, and as it is."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server import errors
from s3server.core.records import BucketRecord
from s3server.errors import IllegalVersioningConfigurationException, InvalidBucketState
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner, refuse


@handles("PutBucketVersioning")
async def put_bucket_versioning(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Enable or suspend versioning. What is stored already stays as it is."""
    check_owner(ctx, request)
    refuse(request, "MFA")
    configuration = request["VersioningConfiguration"]
    if configuration.get("MFADelete") == "Enabled":
        raise errors.NotImplemented("MFA delete is not implemented.", Header="MfaDelete")
    status = configuration.get("Status")
    if status is None:
        raise IllegalVersioningConfigurationException

    def change(bucket: BucketRecord) -> BucketRecord:
        if bucket.object_lock and status != "Enabled":
            raise InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state "
                "cannot be changed."
            )
        return replace(bucket, versioning=status)

    await ctx.services.buckets.update(ctx.require_bucket(), change)
    return {}


@handles("GetBucketVersioning")
async def get_bucket_versioning(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell a bucket's versioning; nothing for one that never had any."""
    check_owner(ctx, request)
    return {"Status": ctx.require_bucket().versioning or None}
