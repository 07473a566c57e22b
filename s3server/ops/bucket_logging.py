"""The access log of a bucket. `exchange` writes its lines, `jobs.access_logs` delivers them.

Source: "Logging requests with server access logging", Amazon S3 user guide.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.auth.acl import GROUPS
from s3server.auth.authorise import OWNER_ENFORCED
from s3server.auth.service import LOGGING
from s3server.configuration_errors import InvalidTargetBucketForLogging
from s3server.core.access_log import NAME, UNIQUE, object_key
from s3server.core.records import BucketRecord
from s3server.errors import (
    AccessControlListNotSupported,
    InvalidArgument,
    MalformedXML,
)
from s3server.operation import Ctx, handles
from s3server.ops.acls import grants_of
from s3server.ops.deliveries import find_target
from s3server.ops.refusals import check_owner
from s3server.wire.request import MAX_KEY_BYTES


@handles("PutBucketLogging")
async def put_bucket_logging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Begin, change or end the log of a bucket."""
    check_owner(ctx, request)
    bucket, document = ctx.require_bucket(), request["BucketLoggingStatus"].get("LoggingEnabled")
    if document is not None:
        document = await _checked(ctx, bucket, document)

    def change(latest: BucketRecord) -> BucketRecord:
        return replace(latest, logging=document is not None)

    await ctx.services.buckets.configure(bucket, NAME, document, change)
    return {}


@handles("GetBucketLogging")
async def get_bucket_logging(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return how a bucket is logged; nothing where it is not."""
    check_owner(ctx, request)
    document = await ctx.services.buckets.configuration(ctx.require_bucket(), NAME)
    return {} if document is None else {"LoggingEnabled": document}


async def _checked(ctx: Ctx, bucket: BucketRecord, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as it is stored: grantees by their ids.

    Raises InvalidTargetBucketForLogging where the target is not there, is another account's, or
    does not let the log delivery write; AccessDenied where the caller may not have it write there.
    """
    name, has_grants = document["TargetBucket"], bool(document.get("TargetGrants"))
    if len(document.get("TargetObjectKeyFormat") or {}) > 1:
        raise MalformedXML
    sample = object_key(document, bucket, 0, "0" * UNIQUE, event_ms=0)
    if len(sample.encode()) > MAX_KEY_BYTES:
        raise InvalidArgument("The target prefix is too long.", ArgumentName="TargetPrefix")
    target = await find_target(ctx, LOGGING, name, sample, with_acl=has_grants)
    if target is None:
        raise InvalidTargetBucketForLogging(TargetBucket=name)
    if not has_grants:
        return document
    if target.ownership == OWNER_ENFORCED:
        raise AccessControlListNotSupported
    grants = await grants_of(ctx, document["TargetGrants"])
    shown = [{"Grantee": _shown(who), "Permission": permission} for who, permission in grants]
    return {**document, "TargetGrants": shown}


def _shown(grantee: str) -> dict[str, str]:
    if grantee in GROUPS:
        return {"Type": "Group", "URI": GROUPS[grantee]}
    return {"Type": "CanonicalUser", "ID": grantee}
