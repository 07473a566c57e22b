"""How an operation is bound to its handler, and what a handler is given."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from s3server.auth.actions import on_version
from s3server.auth.certificates import Certificates
from s3server.auth.oidc_keys import ProviderKeys
from s3server.core.notifications import Cause
from s3server.core.records import BucketRecord, ObjectRecord, TopicRecord
from s3server.core.services import Services
from s3server.door import Asked, Caller, Door
from s3server.errors import NoSuchBucket
from s3server.model import HttpRequest, Principal
from s3server.sessions import Sessions

Handler = Callable[["Ctx", dict[str, Any]], Awaitable[dict[str, Any]]]

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
    caller: Caller
    door: Door
    sessions: Sessions
    providers: ProviderKeys
    certificates: Certificates

    async def require(
        self,
        action: str,
        bucket_name: str,
        key: str | None,
        *,
        version: str | None = None,
    ) -> BucketRecord:
        """Demand a further permission, beyond that of the operation; return the bucket.

        `version` is the version id that it is about, None for the current one; `action` then is
        one on versions ("s3:GetObjectVersion"). Raises AccessDenied, NoSuchBucket.
        """
        return await self.door.permit_by_name(self.caller, action, bucket_name, key, version)

    def confirm(
        self,
        action: str,
        bucket: BucketRecord,
        key: str,
        record: ObjectRecord | None,
        version: str | None = None,
    ) -> None:
        """Hold the version that will be read or changed against the right to. Raises AccessDenied.

        It may be another one than that whose ACL opened the door: written since. `version` is the
        version id that was asked for, None for the current one.
        """
        if version is not None:
            action = on_version(action)
        self.door.confirm(self.caller, Asked(action, bucket, key, version), record)

    def confirm_read(
        self, bucket: BucketRecord, key: str, record: ObjectRecord, version: str | None = None
    ) -> None:
        """Do that for reading it."""
        self.confirm("s3:GetObject", bucket, key, record, version)

    def confirm_upload(self, action: str, key: str, initiator: str) -> None:
        """Hold who goes on with an upload against who began it (a canonical user id).

        That an ACL lets everybody write lets nobody at the uploads of others: this takes the
        bucket's owner, or who a policy permits it. Raises AccessDenied.
        """
        if initiator != self.principal.id:
            as_private = replace(self.require_bucket(), acl="private", grants=())
            self.door.confirm(self.caller, Asked(action, as_private, key), None)

    def require_topic(self, action: str, topic: TopicRecord, *, on_policy: bool = False) -> None:
        """Demand a permission on a topic, or on its policy. Raises AuthorizationError."""
        arn = self.services.topics.arn(topic)
        self.door.confirm_topic(self.caller, action, topic, arn, on_policy=on_policy)

    def cause(self, event: str) -> Cause:
        """Return who causes an event ("ObjectCreated:Put") and by which request."""
        return Cause(event, self.principal.id, self.request_id, self.http.client)

    def require_bucket(self) -> BucketRecord:
        """Return the bucket of the URL. Raises NoSuchBucket where there is none."""
        if self.bucket is None:
            raise NoSuchBucket
        return self.bucket


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
