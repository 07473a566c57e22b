"""Transfer acceleration: suspended, for there are no edge locations between clients and us."""

from __future__ import annotations

from typing import Any

from s3server import errors
from s3server.errors import MalformedXML
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner

_SUSPENDED = "Suspended"


@handles("GetBucketAccelerateConfiguration")
async def get_bucket_accelerate_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return that nothing is accelerated."""
    check_owner(ctx, request)
    ctx.require_bucket()
    return {"Status": _SUSPENDED}


@handles("PutBucketAccelerateConfiguration")
async def put_bucket_accelerate_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Accept what holds anyhow. Raises NotImplemented where something is to be accelerated."""
    check_owner(ctx, request)
    ctx.require_bucket()
    status = request["AccelerateConfiguration"].get("Status")
    if status is None:
        raise MalformedXML
    if status != _SUSPENDED:
        raise errors.NotImplemented("Transfers cannot be accelerated.", Header="Status")
    return {}
