"""What a request may ask of an operation that we do not do yet: refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3server import errors
from s3server.errors import AccessDenied
from s3server.operation import Ctx

ENCRYPTION = (
    "SSEKMSKeyId",
    "SSEKMSEncryptionContext",
    "BucketKeyEnabled",
)
ON_NEW_OBJECTS = ENCRYPTION


def refuse(request: Mapping[str, Any], *members: str) -> None:
    """Raise NotImplemented if the request has one of these members, be it 0 or empty."""
    for member in members:
        value = request.get(member)
        if value is not None and value is not False:
            raise errors.NotImplemented(
                f"{member} asks for something that this server does not do yet.", Header=member
            )


def check_owner(ctx: Ctx, request: Mapping[str, Any], member: str = "ExpectedBucketOwner") -> None:
    """Raise AccessDenied where the bucket belongs to another owner than the client expects."""
    expected = request.get(member)
    if expected and (ctx.bucket is None or expected not in (ctx.bucket.owner, ctx.bucket.account)):
        raise AccessDenied
