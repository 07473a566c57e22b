"""RenameObject: within a bucket, at once, and without moving a byte."""

from __future__ import annotations

from typing import Any

from s3server.core.records import ObjectRecord
from s3server.core.renaming import Rename
from s3server.errors import InvalidArgument, InvalidRequest
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at, quote_etag, write_condition
from s3server.ops.object_copy import parse_copy_source
from s3server.ops.refusals import refuse
from s3server.wire.conditions import check_copy_source_conditions

MAX_TOKEN = 64  # characters of ASCII from 33 to 126
_CONDITIONS = ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")


@handles("RenameObject")
async def rename_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give an object another key. Needs what a copy and a deletion need.

    AWS has it in directory buckets only. The source is "bucket/key", of the same bucket.
    """
    refuse(request, "DestinationIfModifiedSince", "DestinationIfUnmodifiedSince")
    bucket, target = ctx.require_bucket(), request["Key"]
    name, source, version_id = parse_copy_source(request["RenameSource"])
    if name != bucket.name or version_id is not None:
        raise InvalidArgument(
            "An object is renamed within its bucket.",
            ArgumentName="x-amz-rename-source",
            ArgumentValue=request["RenameSource"],
        )
    if source == target:
        raise InvalidRequest("The source and the destination are the same object.")
    await ctx.require("s3:GetObject", name, source)
    await ctx.require("s3:DeleteObject", name, source)
    await ctx.require("s3:PutObject", name, target)
    conditions = {f"CopySource{one}": request.get(f"Source{one}") for one in _CONDITIONS}

    def check(record: ObjectRecord) -> None:
        ctx.confirm_read(bucket, source, record)
        check_copy_source_conditions(
            conditions, etag=quote_etag(record.etag), modified=at(record.modified_ms)
        )

    what = Rename(
        bucket,
        source,
        target,
        token=_token(request),
        by=ctx.principal.id,
        condition=write_condition({one: request.get(f"Destination{one}") for one in _CONDITIONS}),
        created=ctx.cause("ObjectCreated:Copy"),
        removed=ctx.cause("ObjectRemoved"),
    )
    await ctx.services.renaming.rename(what, check)
    return {}


def _token(request: dict[str, Any]) -> str:
    token = request.get("ClientToken") or ""
    if len(token) > MAX_TOKEN or not all("!" <= character <= "~" for character in token):
        raise InvalidArgument(ArgumentName="x-amz-client-token", ArgumentValue=token)
    return str(token)
