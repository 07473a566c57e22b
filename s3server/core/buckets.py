"""Buckets: names, creation, deletion, and the lists of who owns which."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Container, Sequence
from typing import Any

from s3server.core import records
from s3server.core.clock import Clock, Ids
from s3server.core.commit import Commits, Plan
from s3server.core.project_records import bucket_scope, quota_key
from s3server.core.projects import check_project
from s3server.core.quotas import Quotas, counted_buckets
from s3server.core.records import BucketRecord, ConfigurationRecord, Remembering, decode, encode
from s3server.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    InvalidBucketName,
    InvalidLocationConstraint,
    NoSuchBucket,
)
from s3server.meta.base import (
    Delete,
    Empty,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
    pages_of,
)
from s3server.model import Principal

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MAX_NAME_CHARACTERS = 63
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_CONTENT_TABLES = (records.OBJECT, records.VERSION)


class Buckets:
    """Buckets of one store."""

    def __init__(
        self,
        meta: MetadataStore,
        *,
        clock: Clock,
        ids: Ids,
        region: str,
        pool: str,
        pools: Container[str] = (),
    ) -> None:
        """Buckets are made in `region`, and in `pool` unless another one of `pools` is named."""
        self._meta, self._clock, self._ids = meta, clock, ids
        self._commit = Commits(meta)
        self._quotas = Quotas(meta)
        self._region, self._pool, self._pools = region, pool, pools
        self.decode = Remembering(BucketRecord)

    async def find(self, name: str) -> tuple[BucketRecord, bytes] | None:
        """Return the bucket and its stored row, or None."""
        if len(name) > _MAX_NAME_CHARACTERS:  # and perhaps longer than a stored key can be
            return None
        row = await self._meta.get(records.bucket_key(name))
        return None if row is None else (self.decode(row), row)

    async def get(self, name: str) -> BucketRecord:
        """Return the bucket. Raises NoSuchBucket."""
        found = await self.find(name)
        if found is None:
            raise NoSuchBucket(BucketName=name)
        return found[0]

    async def create(
        self,
        name: str,
        owner: Principal,
        *,
        acl: str = "private",
        grants: records.Grants = (),
        ownership: str = "",
        pool: str = "",
        tags: tuple[tuple[str, str], ...] = (),
        object_lock: bool = False,
    ) -> BucketRecord:
        """Create a bucket; one with object lock has versioning from the start.

        The bytes of its objects go to `pool`, "" being the default one, for as long as it exists.
        Raises InvalidBucketName, InvalidLocationConstraint where there is no such pool,
        BucketAlreadyOwnedByYou, BucketAlreadyExists, QuotaExceeded, what check_project() raises.
        """
        check_name(name)
        if pool and pool != self._pool and pool not in self._pools:
            raise InvalidLocationConstraint(LocationConstraint=f"{self._region}:{pool}")
        bucket = BucketRecord(
            id=self._ids.bucket_id(),
            name=name,
            owner=owner.id,
            account=owner.account,
            created_ms=self._clock.now_ms(),
            region=self._region,
            acl=acl,
            grants=grants,
            ownership=ownership,
            pool=pool or self._pool,
            tags=tags,
            object_lock=object_lock,
            versioning="Enabled" if object_lock else "",
        )

        async def plan() -> Plan[BucketRecord]:
            found = await self.find(name)
            if found is not None:
                taken = (
                    BucketAlreadyOwnedByYou if found[0].owner == owner.id else BucketAlreadyExists
                )
                raise taken(BucketName=name)
            key = records.bucket_key(name)
            objects = records.OBJECT + bucket.id
            leave = [await check_project(self._meta, owner.account)]
            leave += await self._quotas.checks_of_bucket(owner)
            return Plan(
                result=bucket,
                writes=[
                    Put(key, encode(bucket)),
                    Put(records.bucket_of_key(bucket.owner, name), b""),
                    *counted_buckets(bucket.owner, bucket.account, 1),
                ],
                checks=[Unchanged(key, None), Empty(objects, after_prefix(objects)), *leave],
            )

        return await self._commit(plan)

    async def delete(self, bucket: BucketRecord) -> None:
        """Delete an empty bucket. Raises NoSuchBucket, BucketNotEmpty.

        Uploads in progress must have been aborted before; one that began since makes the commit
        fail and is reported as BucketNotEmpty.
        """
        key = records.bucket_key(bucket.name)

        async def plan() -> Plan[None]:
            found = await self.find(bucket.name)
            if found is None or found[0].id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            await self.check_empty(bucket)
            uploads = _range_of(records.UPLOAD, bucket)
            if await self._meta.scan(*uploads, limit=1):
                raise BucketNotEmpty(BucketName=bucket.name)
            spaces = [uploads, *(_range_of(table, bucket) for table in _CONTENT_TABLES)]
            return Plan(
                result=None,
                writes=[
                    Delete(key),
                    Delete(records.bucket_of_key(bucket.owner, bucket.name)),
                    Delete(records.policy_key(bucket.id, found[0].policy)),
                    Delete(quota_key(bucket_scope(bucket.id))),
                    *counted_buckets(bucket.owner, bucket.account, -1),
                    *(
                        Delete(records.counter_key(bucket.id, name))
                        for name in records.BUCKET_COUNTERS
                    ),
                    *(
                        Delete(records.configuration_key(bucket.id, name))
                        for name in records.CONFIGURATIONS
                    ),
                ],
                checks=[
                    Unchanged(key, found[1]),
                    *(Empty(start, stop) for start, stop in spaces),
                ],
            )

        await self._commit(plan)

    async def update(
        self,
        bucket: BucketRecord,
        change: Callable[[BucketRecord], BucketRecord],
        *,
        also: Sequence[Write] = (),
    ) -> BucketRecord:
        """Store what `change` makes of the bucket as it is now, and `also`; return the bucket.

        `change` may raise, and may be called again where others changed the bucket meanwhile.
        Raises NoSuchBucket.
        """
        key = records.bucket_key(bucket.name)

        async def plan() -> Plan[BucketRecord]:
            found = await self.find(bucket.name)
            if found is None or found[0].id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            changed = change(found[0])
            writes: list[Write] = [] if changed == found[0] else [Put(key, encode(changed))]
            return Plan(result=changed, writes=[*writes, *also], checks=[Unchanged(key, found[1])])

        return await self._commit(plan)

    async def configuration(self, bucket: BucketRecord, name: str) -> dict[str, Any] | None:
        """Return one of a bucket's documents (`records.CONFIGURATIONS`), or None."""
        row = await self._meta.get(records.configuration_key(bucket.id, name))
        return None if row is None else decode(ConfigurationRecord, row).document

    async def configure(
        self,
        bucket: BucketRecord,
        name: str,
        document: dict[str, Any] | None,
        change: Callable[[BucketRecord], BucketRecord] = lambda latest: latest,
    ) -> None:
        """Store one of a bucket's documents in place of the one before; None removes it.

        What `change` makes of the bucket is stored in the same commit. Raises NoSuchBucket.
        """
        key = records.configuration_key(bucket.id, name)

        async def plan() -> Plan[None]:
            found = await self.find(bucket.name)
            if found is None or found[0].id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            writes: list[Write] = [Delete(key)]
            if document is not None:
                writes = [Put(key, encode(ConfigurationRecord(document=document)))]
            bucket_key, changed = records.bucket_key(bucket.name), change(found[0])
            if changed != found[0]:
                writes.append(Put(bucket_key, encode(changed)))
            return Plan(result=None, writes=writes, checks=[Unchanged(bucket_key, found[1])])

        await self._commit(plan)

    async def revise(
        self,
        bucket: BucketRecord,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        also: Sequence[Write] = (),
    ) -> None:
        """Store what `change` makes of a document that many write to, and `also`.

        It is given {} where there is none, may raise, and may be called again where others were
        faster. Raises NoSuchBucket.
        """
        key = records.configuration_key(bucket.id, name)

        async def plan() -> Plan[None]:
            found = await self.find(bucket.name)
            if found is None or found[0].id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            row = await self._meta.get(key)
            document = change({} if row is None else decode(ConfigurationRecord, row).document)
            write = (
                Put(key, encode(ConfigurationRecord(document=document)))
                if document
                else Delete(key)
            )
            bucket_check = Unchanged(records.bucket_key(bucket.name), found[1])
            return Plan(
                result=None, writes=[write, *also], checks=[bucket_check, Unchanged(key, row)]
            )

        await self._commit(plan)

    async def check_empty(self, bucket: BucketRecord) -> None:
        """Raise BucketNotEmpty where the bucket has an object or a version."""
        for table in _CONTENT_TABLES:
            if await self._meta.scan(*_range_of(table, bucket), limit=1):
                raise BucketNotEmpty(BucketName=bucket.name)

    async def list_owned(
        self, owner: str | None, *, prefix: str = "", after: str = "", limit: int
    ) -> list[BucketRecord]:
        """Return buckets in the order of their names; `owner` None: of everybody."""
        table = records.BUCKET if owner is None else records.bucket_of_key(owner, "")
        start = table + max(prefix, after + "\0" if after else "").encode()
        rows = await self._meta.scan(start, after_prefix(table + prefix.encode()), limit=limit)
        if owner is None:
            return [self.decode(row) for _, row in rows]
        names = [key[len(table) :].decode() for key, _ in rows]
        found = await self._meta.get_many([records.bucket_key(name) for name in names])
        return [self.decode(row) for row in found if row is not None]

    async def list_all(self) -> list[BucketRecord]:
        """Return all buckets of the store, in the order of their names."""
        pages = pages_of(self._meta, records.BUCKET, after_prefix(records.BUCKET))
        return [self.decode(row) async for page in pages for _, row in page]


def _range_of(table: bytes, bucket: BucketRecord) -> tuple[bytes, bytes]:
    return table + bucket.id, after_prefix(table + bucket.id)


def check_name(name: str) -> None:
    """Raise InvalidBucketName unless AWS's rules for general purpose buckets allow the name.

    Source: S3 User Guide, "General purpose bucket naming rules".
    """
    allowed = (
        _NAME.fullmatch(name) is not None
        and ".." not in name
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
        and not _is_ipv4(name)
    )
    if not allowed:
        raise InvalidBucketName(BucketName=name)


def _is_ipv4(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
