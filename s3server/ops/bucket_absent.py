"""What buckets have at AWS and none has here: lists of nothing.

Storage class analyses, request metrics of CloudWatch, rules of Intelligent-Tiering. Consoles and
Terraform list them to see that there are none, and stop at an error. What would make one answers
501.
"""

from __future__ import annotations

from typing import Any

from s3server.configuration_errors import NoSuchConfiguration
from s3server.operation import Ctx, Handler, handles
from s3server.ops.refusals import check_owner

_KINDS = ("Analytics", "IntelligentTiering", "Metrics")


def _lists_nothing(kind: str) -> Handler:
    async def list_nothing(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
        check_owner(ctx, request)
        ctx.require_bucket()
        return {"IsTruncated": False, "ContinuationToken": request.get("ContinuationToken")}

    list_nothing.__doc__ = f"Return no configuration of {kind}."
    return list_nothing


async def _get_nothing(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Raise NoSuchConfiguration, whatever the id."""
    check_owner(ctx, request)
    ctx.require_bucket()
    raise NoSuchConfiguration


for _kind in _KINDS:
    handles(f"ListBucket{_kind}Configurations")(_lists_nothing(_kind))
    handles(f"GetBucket{_kind}Configuration")(_get_nothing)
