"""What the server stores by itself in buckets, playing the part of one of AWS's services.

Access logs and inventories are objects like others: they belong to the target bucket's owner, are
encrypted as the bucket has it, and cause events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec

from s3server.core.access import Access
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock
from s3server.core.keys import KeyRing, write_envelope
from s3server.core.notifications import Cause
from s3server.core.objects import Attributes, Objects
from s3server.core.records import BucketRecord, Grants, ObjectRecord
from s3server.core.sealing import new_data_key
from s3server.door import may_deliver
from s3server.errors import S3Error
from s3server.model import Upload
from s3server.wire.body import Body
from s3server.wire.checksums import DEFAULT_ALGORITHM


class RefusedError(Exception):
    """The target does not take it; the text says why. To try again at once is of no use."""


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """An object to be stored."""

    service: str  # `auth.service`
    source: BucketRecord  # the bucket that it is about
    target: str  # name of the bucket
    key: str
    body: bytes
    content_type: str
    is_encrypted: bool = False  # whatever the bucket's default
    grants: Grants = ()  # beside its owner's


class Courier:
    """Stores parcels in one store."""

    def __init__(
        self, buckets: Buckets, objects: Objects, access: Access, key_ring: KeyRing, clock: Clock
    ) -> None:
        self._buckets, self._objects, self._access = buckets, objects, access
        self._key_ring, self._clock = key_ring, clock

    async def put(self, parcel: Parcel) -> ObjectRecord:
        """Store a parcel; what was stored under its key before is replaced. Raises RefusedError."""
        found = await self._buckets.find(parcel.target)
        if found is None:
            raise RefusedError(f"the bucket {parcel.target} does not exist")
        target = found[0]
        if not await may_deliver(
            self._access,
            parcel.service,
            parcel.source,
            target,
            key=parcel.key,
            now_ms=self._clock.now_ms(),
        ):
            raise RefusedError(f"the bucket {parcel.target} does not let {parcel.service} write")
        attributes = Attributes(
            owner=target.owner,
            headers=(("ContentType", parcel.content_type),),
            cause=Cause("ObjectCreated:Put", parcel.service),
        )
        if parcel.grants:
            given = ((target.owner, "FULL_CONTROL"), *parcel.grants)
            attributes = replace(attributes, acl="custom", grants=given)
        attributes = self._encrypted(parcel, target, attributes)
        try:
            return await self._objects.put(target, parcel.key, _upload(parcel.body), attributes)
        except S3Error as error:
            if error.status >= 500:  # later it may go
                raise
            raise RefusedError(error.message) from error

    def _encrypted(
        self, parcel: Parcel, target: BucketRecord, attributes: Attributes
    ) -> Attributes:
        if not (parcel.is_encrypted or target.encryption):
            return attributes
        data_key = new_data_key()
        envelope = write_envelope(self._key_ring.wrap(data_key))
        return replace(attributes, encryption=envelope, data_key=data_key)


def _upload(body: bytes) -> Upload:
    """Return bytes as an upload, with the digests that every object has."""

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = {"content-length": str(len(body))}
    # Its size is a property, and the protocol's an attribute: the same to all who read it.
    return cast("Upload", Body(receive, headers, default_algorithm=DEFAULT_ALGORITHM))
