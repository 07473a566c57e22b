"""Replication of buckets: there is none, as tools want to hear that read a bucket back."""

from __future__ import annotations

from typing import Any

from s3server.configuration_errors import ReplicationConfigurationNotFoundError
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner


@handles("GetBucketReplication")
async def get_bucket_replication(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Raise ReplicationConfigurationNotFoundError."""
    check_owner(ctx, request)
    ctx.require_bucket()
    raise ReplicationConfigurationNotFoundError


@handles("DeleteBucketReplication")
async def delete_bucket_replication(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Leave the bucket without replication."""
    check_owner(ctx, request)
    ctx.require_bucket()
    return {}
