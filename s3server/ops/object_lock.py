"""Retention and legal hold of versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from s3server.configuration_errors import NoSuchObjectLockConfiguration
from s3server.core.locks import Retention, check_retention_change
from s3server.core.records import ObjectRecord
from s3server.errors import (
    MalformedXML,
)
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at
from s3server.ops.lock_headers import locked_bucket, may_bypass, retention
from s3server.ops.refusals import check_owner


@handles("PutObjectRetention")
async def put_object_retention(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set until when a version is kept. An empty document ends a retention that may be ended."""
    check_owner(ctx, request)
    bucket, key, version_id = locked_bucket(ctx), request["Key"], request.get("VersionId")
    document = request["Retention"]
    mode, until = document.get("Mode"), document.get("RetainUntilDate")
    if (mode is None) != (until is None):
        raise MalformedXML
    now_ms = ctx.services.clock.now_ms()
    wanted = Retention() if mode is None else retention(mode, until, now_ms)
    bypass = await may_bypass(ctx, request, key, version_id)

    def change(record: ObjectRecord) -> ObjectRecord:
        ctx.confirm("s3:PutObjectRetention", bucket, key, record, version_id)
        check_retention_change(record, wanted, now_ms, bypass=bypass)
        return replace(record, retention_mode=wanted.mode, retain_until_ms=wanted.until_ms)

    await ctx.services.objects.amend(bucket, key, version_id, change)
    return {}


@handles("GetObjectRetention")
async def get_object_retention(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return until when a version is kept. Raises NoSuchObjectLockConfiguration."""
    check_owner(ctx, request)
    record = await _read(ctx, request, "s3:GetObjectRetention")
    if not record.retention_mode:
        raise NoSuchObjectLockConfiguration
    until = at(record.retain_until_ms)
    return {"Retention": {"Mode": record.retention_mode, "RetainUntilDate": until}}


@handles("PutObjectLegalHold")
async def put_object_legal_hold(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Put a legal hold on a version, or lift it."""
    check_owner(ctx, request)
    bucket, key, version_id = locked_bucket(ctx), request["Key"], request.get("VersionId")
    status = request["LegalHold"].get("Status")
    if status is None:
        raise MalformedXML

    def change(record: ObjectRecord) -> ObjectRecord:
        ctx.confirm("s3:PutObjectLegalHold", bucket, key, record, version_id)
        return replace(record, legal_hold=status)

    await ctx.services.objects.amend(bucket, key, version_id, change)
    return {}


@handles("GetObjectLegalHold")
async def get_object_legal_hold(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the legal hold of a version. Raises NoSuchObjectLockConfiguration."""
    check_owner(ctx, request)
    record = await _read(ctx, request, "s3:GetObjectLegalHold")
    if not record.legal_hold:
        raise NoSuchObjectLockConfiguration
    return {"LegalHold": {"Status": record.legal_hold}}


async def _read(ctx: Ctx, request: Mapping[str, Any], action: str) -> ObjectRecord:
    bucket, key, version_id = locked_bucket(ctx), request["Key"], request.get("VersionId")
    record = await ctx.services.objects.get(bucket, key, version_id)
    ctx.confirm(action, bucket, key, record, version_id)
    return record
