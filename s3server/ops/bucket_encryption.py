"""How objects of a bucket are encrypted whose upload does not say: SSE-S3, or not at all."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from s3server import errors
from s3server.configuration_errors import ServerSideEncryptionConfigurationNotFoundError
from s3server.errors import (
    MalformedXML,
)
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner

ALGORITHM = "AES256"


@handles("PutBucketEncryption")
async def put_bucket_encryption(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Encrypt new objects from now on; those that are there stay as they are."""
    check_owner(ctx, request)
    rules = request["ServerSideEncryptionConfiguration"]["Rules"]
    if len(rules) != 1 or "ApplyServerSideEncryptionByDefault" not in rules[0]:
        raise MalformedXML
    default = rules[0]["ApplyServerSideEncryptionByDefault"]
    if default["SSEAlgorithm"] != ALGORITHM or default.get("KMSMasterKeyID"):
        raise errors.NotImplemented(
            "Encryption by keys of a key management service is not implemented.",
            Header="SSEAlgorithm",
        )
    if rules[0].get("BucketKeyEnabled") or rules[0].get("BlockedEncryptionTypes"):
        raise errors.NotImplemented("This rule of encryption is not implemented.", Header="Rule")
    await _set(ctx, ALGORITHM)
    return {}


@handles("GetBucketEncryption")
async def get_bucket_encryption(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell how new objects are encrypted."""
    check_owner(ctx, request)
    algorithm = ctx.require_bucket().encryption
    if not algorithm:
        raise ServerSideEncryptionConfigurationNotFoundError(BucketName=request["Bucket"])
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [{**rule, "BucketKeyEnabled": False}]}}


@handles("DeleteBucketEncryption")
async def delete_bucket_encryption(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store new objects as they come again."""
    check_owner(ctx, request)
    await _set(ctx, "")
    return {}


async def _set(ctx: Ctx, algorithm: str) -> None:
    buckets = ctx.services.buckets
    await buckets.update(ctx.require_bucket(), lambda now: replace(now, encryption=algorithm))
