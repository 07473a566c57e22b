"""PutObject."""

from __future__ import annotations

from typing import Any

from s3server.core.versions import shown_version_id
from s3server.operation import Ctx, handles
from s3server.ops.acls import with_acl
from s3server.ops.attributes import attributes_of, checksums_of, quote_etag, write_condition
from s3server.ops.bucket_lifecycle import expiration_of
from s3server.ops.encryption import told_encryption, with_encryption
from s3server.ops.refusals import check_owner, refuse


@handles("PutObject")
async def put_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store an object; the answer is sent once bytes and record are on stable storage."""
    check_owner(ctx, request)
    refuse(request, "WriteOffsetBytes")
    bucket = ctx.require_bucket()
    attributes = attributes_of(ctx, request, ctx.cause("ObjectCreated:Put"))
    attributes = await with_acl(ctx, request, attributes)
    attributes = with_encryption(ctx, request, attributes)
    record = await ctx.services.objects.put(
        bucket,
        request["Key"],
        request["Body"],
        attributes,
        write_condition(request),
    )
    return {
        "ETag": quote_etag(record.etag),
        "VersionId": shown_version_id(bucket, record),
        "Expiration": await expiration_of(ctx, bucket, request["Key"], record),
        **checksums_of(record),
        **told_encryption(record.encryption),
    }
