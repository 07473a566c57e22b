"""How an operation is bound to its handler, and what a handler is given."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from s3server.auth.authorise import BucketFacts, authorise
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.core.services import Services
from s3server.errors import AccessDenied, NoSuchBucket
from s3server.model import HttpRequest, Principal

Handler = Callable[["Ctx", dict[str, Any]], Awaitable[dict[str, Any]]]
# (principal, action, bucket name, key): raises AccessDenied or NoSuchBucket
Permit = Callable[[Principal, str, str, str | None], Awaitable[None]]

HANDLERS: dict[str, Handler] = {}


class Ctx(msgspec.Struct, frozen=True, gc=False):
    """All that a handler may touch besides its request.

    `bucket` is the bucket that the URL names, None for operations on the service and for the
    creation of a bucket.
    """

    request_id: str
    principal: Principal
    bucket: BucketRecord | None
    services: Services
    http: HttpRequest
    permit: Permit

    async def require(self, action: str, bucket_name: str, key: str | None) -> None:
        """Demand a second permission, beyond that of the operation. Raises AccessDenied."""
        await self.permit(self.principal, action, bucket_name, key)

    def confirm_read(self, bucket: BucketRecord, record: ObjectRecord) -> None:
        """Hold the version that will be read against the right to read it. Raises AccessDenied.

        It may be another one than that whose ACL opened the door: written since.
        """
        if not permits(self.principal, "s3:GetObject", bucket, record):
            raise AccessDenied

    def require_bucket(self) -> BucketRecord:
        """Return the bucket of the URL. Raises NoSuchBucket where there is none."""
        if self.bucket is None:
            raise NoSuchBucket
        return self.bucket


def permits(
    principal: Principal, action: str, bucket: BucketRecord | None, record: ObjectRecord | None
) -> bool:
    """Return whether a principal may do something to a bucket, or to a version in it."""
    return authorise(
        principal,
        action,
        bucket=None if bucket is None else BucketFacts(bucket.owner, bucket.acl),
        object_acl=None if record is None else record.acl,
        object_owner=None if record is None else record.owner,
    )


def handles(name: str) -> Callable[[Handler], Handler]:
    """Bind a handler to the operation of AWS's model that has this name."""

    def bind(handler: Handler) -> Handler:
        if name in HANDLERS:
            raise ValueError(f"two handlers for {name}")
        HANDLERS[name] = handler
        return handler

    return bind


def load_handlers() -> dict[str, Handler]:
    """Import every module of `s3server.ops`, so that all handlers are bound; return them."""
    package = importlib.import_module("s3server.ops")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"s3server.ops.{module.name}")
    return HANDLERS
