"""The door to every handler: what is read to decide whether a request may do something.

The decision itself is `auth.authorise`; here are the reads that it needs, and none that it does
not: whoever owns a bucket without a policy, or runs the store, passes without any.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from s3server.auth.authorise import BucketFacts, authorise
from s3server.core.buckets import Buckets
from s3server.core.objects import Objects
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.errors import AccessDenied
from s3server.model import HttpRequest, Principal


class Caller(msgspec.Struct):
    """Who sent a request, and all of it that a decision may ask about."""

    principal: Principal
    mechanism: str  # of its proof, as in `model.Identity`; "post" where that was in a form
    http: HttpRequest
    query: Mapping[str, str]


class Door:
    """Decides for every request, and again for whatever else a handler is asked to do."""

    def __init__(self, buckets: Buckets, objects: Objects) -> None:
        self._buckets, self._objects = buckets, objects

    async def permit(
        self,
        caller: Caller,
        action: str,
        bucket: BucketRecord | None,
        key: str | None,
        version: str | None = None,
    ) -> None:
        """Raise AccessDenied unless the caller may do `action` to the bucket, or a key in it.

        `version` is the version id that is asked for, None for the current one.
        """
        if bucket is not None and _is_host(caller.principal, bucket):
            record = None
        elif bucket is not None and key is not None:
            record = await self._objects.find(bucket, key, version)
        else:
            record = None
        self.confirm(caller, action, bucket, record)

    async def permit_by_name(
        self,
        caller: Caller,
        action: str,
        bucket_name: str,
        key: str | None,
        version: str | None = None,
    ) -> None:
        """Do the same for a bucket by its name. Raises NoSuchBucket."""
        await self.permit(caller, action, await self._buckets.get(bucket_name), key, version)

    def confirm(
        self,
        caller: Caller,
        action: str,
        bucket: BucketRecord | None,
        record: ObjectRecord | None,
    ) -> None:
        """Raise AccessDenied unless the caller may do `action` to this very version."""
        allowed = authorise(
            caller.principal,
            action,
            bucket=None if bucket is None else BucketFacts(bucket.owner, bucket.acl),
            object_acl=None if record is None else record.acl,
            object_owner=None if record is None else record.owner,
        )
        if not allowed:
            raise AccessDenied


def _is_host(principal: Principal, bucket: BucketRecord) -> bool:
    return principal.is_root or principal.id == bucket.owner
