"""The access control lists of objects and their versions."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server.auth.acl import CUSTOM, FULL_CONTROL, OBJECT_ACLS, Grants, spelt_out
from s3server.auth.authorise import OWNER_ENFORCED
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.core.versions import shown_version_id
from s3server.errors import AccessControlListNotSupported
from s3server.operation import Ctx, handles
from s3server.ops.acls import acl_of_request, describe, refuse_public
from s3server.ops.refusals import check_owner


@handles("GetObjectAcl")
async def get_object_acl(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return who may do what with an object, as far as ACLs say it: its own, or its bucket's."""
    check_owner(ctx, request)
    bucket, version_id = ctx.require_bucket(), request.get("VersionId")
    record = await ctx.services.objects.get(bucket, request["Key"], version_id)
    ctx.confirm("s3:GetObjectAcl", bucket, request["Key"], record, version_id)
    owner = bucket.owner if bucket.ownership == OWNER_ENFORCED else record.owner
    acl, grants = _effective(bucket, record)
    return await describe(ctx, acl, grants, owner=owner, bucket_owner=bucket.owner)


def _effective(bucket: BucketRecord, record: ObjectRecord) -> tuple[str, Grants]:
    if bucket.ownership == OWNER_ENFORCED:
        return "private", ()
    if record.acl:
        return record.acl, record.grants
    # Whoever may list the bucket may read what has no ACL of its own.
    of_bucket = spelt_out(bucket.acl, bucket.grants, owner=bucket.owner, bucket_owner=bucket.owner)
    own = ((record.owner, FULL_CONTROL),) if record.owner else ()
    readers = [
        (grantee, "READ")
        for grantee, permission in of_bucket
        if permission in ("READ", FULL_CONTROL) and grantee != record.owner
    ]
    return CUSTOM, (*own, *readers)


@handles("PutObjectAcl")
async def put_object_acl(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Replace the ACL of an object, or of one version of it."""
    check_owner(ctx, request)
    bucket, key, version_id = ctx.require_bucket(), request["Key"], request.get("VersionId")
    if bucket.ownership == OWNER_ENFORCED:
        raise AccessControlListNotSupported
    stored = await ctx.services.objects.get(bucket, key, version_id)
    acl = await acl_of_request(ctx, request, OBJECT_ACLS, stored.owner)
    await refuse_public(ctx, bucket, acl)

    def change(record: ObjectRecord) -> ObjectRecord:
        ctx.confirm("s3:PutObjectAcl", bucket, key, record, version_id)
        return replace(record, acl=acl.canned, grants=acl.grants)

    cause = ctx.cause("ObjectAcl:Put")
    record = await ctx.services.objects.amend(bucket, key, version_id, change, cause)
    return {"@headers": _version_header(bucket, record)}


def _version_header(bucket: BucketRecord, record: ObjectRecord) -> dict[str, str]:
    shown = shown_version_id(bucket, record)
    return {} if shown is None else {"x-amz-version-id": shown}
