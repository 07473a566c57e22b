"""The lifecycle configuration of a bucket. `jobs.lifecycle` does what it says."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from s3server.configuration_errors import NoSuchLifecycleConfiguration
from s3server.core.lifecycle import NAME
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at
from s3server.ops.refusals import check_owner, refuse
from s3server.wire.timestamps import http_date

# Of transitions, which there are none of: the default of AWS's, which Terraform always sends.
_MINIMUM, _DEFAULT_MINIMUM = "TransitionDefaultMinimumObjectSize", "all_storage_classes_128K"


@handles("PutBucketLifecycleConfiguration")
async def put_bucket_lifecycle_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set the rules of a bucket in place of those before."""
    check_owner(ctx, request)
    if request.get(_MINIMUM, _DEFAULT_MINIMUM) != _DEFAULT_MINIMUM:
        refuse(request, _MINIMUM)
    await ctx.services.lifecycle.configure(ctx.require_bucket(), request["LifecycleConfiguration"])
    return {_MINIMUM: _DEFAULT_MINIMUM}


@handles("GetBucketLifecycleConfiguration")
async def get_bucket_lifecycle_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the rules as they were set. Raises NoSuchLifecycleConfiguration."""
    check_owner(ctx, request)
    document = await ctx.services.buckets.configuration(ctx.require_bucket(), NAME)
    if document is None:
        raise NoSuchLifecycleConfiguration(BucketName=request["Bucket"])
    return {**document, _MINIMUM: _DEFAULT_MINIMUM}


@handles("DeleteBucketLifecycle")
async def delete_bucket_lifecycle(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Remove the rules; it is no error where there are none."""
    check_owner(ctx, request)
    await ctx.services.lifecycle.configure(ctx.require_bucket(), None)
    return {}


async def expiration_of(
    ctx: Ctx, bucket: BucketRecord, key: str, record: ObjectRecord
) -> str | None:
    """Return what x-amz-expiration says of a current version."""
    if not bucket.lifecycle:
        return None
    due = await ctx.services.lifecycle.expiration(bucket, key, record)
    if due is None:
        return None
    return f'expiry-date="{http_date(at(due.at_ms))}", rule-id="{quote(due.rule)}"'
