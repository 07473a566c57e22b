"""Who pays for requests and transfers: always the bucket's owner, for nobody sends bills here."""

from __future__ import annotations

from typing import Any

from s3server import errors
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner

_OWNER = "BucketOwner"


@handles("GetBucketRequestPayment")
async def get_bucket_request_payment(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return that the owner pays."""
    check_owner(ctx, request)
    ctx.require_bucket()
    return {"Payer": _OWNER}


@handles("PutBucketRequestPayment")
async def put_bucket_request_payment(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Accept what holds anyhow. Raises NotImplemented where requesters are to pay."""
    check_owner(ctx, request)
    ctx.require_bucket()
    if request["RequestPaymentConfiguration"]["Payer"] != _OWNER:
        raise errors.NotImplemented("Requesters cannot pay.", Header="Payer")
    return {}
