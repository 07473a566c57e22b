"""What owners laid down about access to their buckets: policies and public access blocks."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from s3server.core import records
from s3server.core.buckets import Buckets
from s3server.core.commit import Commits, Plan
from s3server.core.records import (
    AccountBlockRecord,
    BucketRecord,
    PolicyRecord,
    decode,
    encode,
)
from s3server.errors import NoSuchBucket
from s3server.meta.base import CorruptRecordError, Delete, MetadataStore, Put, Unchanged, Write
from s3server.model import NOTHING_BLOCKED, Pairs, PublicAccessBlock

_DIGEST_BYTES = 16


class Access:
    """Policies of buckets, and public access blocks of buckets and accounts."""

    def __init__(self, meta: MetadataStore, buckets: Buckets) -> None:
        self._meta, self._buckets = meta, buckets
        self._commit = Commits(meta)

    async def policy(self, bucket: BucketRecord) -> tuple[bytes, PolicyRecord] | None:
        """Return the policy of a bucket, with its digest; None where it has none.

        Where it has been replaced since the bucket was read, it is the new one. Raises NoSuchBucket
        where the bucket is gone, CorruptRecordError where the policy cannot be read: what is not
        known must not be taken for none.
        """
        while bucket.policy:
            row = await self._meta.get(records.policy_key(bucket.id, bucket.policy))
            if row is not None:
                return bucket.policy, decode(PolicyRecord, row)
            latest = await self._buckets.get(bucket.name)
            if latest.id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            if latest.policy == bucket.policy:
                raise CorruptRecordError(f"the policy of bucket {bucket.name} is not there")
            bucket = latest
        return None

    async def put_policy(
        self, bucket: BucketRecord, text: str | None, principals: Pairs = ()
    ) -> None:
        """Set the policy of a bucket, which names `principals`, or remove it. Raises NoSuchBucket.

        Sent again, the same text is another policy where its names stand for somebody else now.
        """
        key = records.bucket_key(bucket.name)
        new = b"" if text is None else encode(PolicyRecord(text=text, principals=principals))
        digest = hashlib.sha256(new).digest()[:_DIGEST_BYTES] if new else b""

        async def plan() -> Plan[None]:
            found = await self._buckets.find(bucket.name)
            if found is None or found[0].id != bucket.id:
                raise NoSuchBucket(BucketName=bucket.name)
            latest, row = found
            if latest.policy == digest:
                return Plan(result=None)
            writes: list[Write] = [Put(key, encode(replace(latest, policy=digest)))]
            if latest.policy:
                writes.append(Delete(records.policy_key(bucket.id, latest.policy)))
            if new:
                writes.append(Put(records.policy_key(bucket.id, digest), new))
            return Plan(result=None, writes=writes, checks=[Unchanged(key, row)])

        await self._commit(plan)

    async def block(self, bucket: BucketRecord) -> PublicAccessBlock:
        """Return what is blocked for a bucket, by itself or by its account."""
        row = await self._meta.get(records.account_block_key(bucket.account))
        return self.block_of(bucket, row)

    def block_of(self, bucket: BucketRecord, row: bytes | None) -> PublicAccessBlock:
        """Return that, where the row of the account's block was read already."""
        own = bucket.public_access_block
        of_account = None if row is None else decode(AccountBlockRecord, row).block
        if own is None or of_account is None:
            return own or of_account or NOTHING_BLOCKED
        return own | of_account

    async def account_block(self, account: str) -> PublicAccessBlock | None:
        """Return what is blocked for all buckets of an account, None where nothing was set."""
        row = await self._meta.get(records.account_block_key(account))
        return None if row is None else decode(AccountBlockRecord, row).block

    async def put_account_block(self, account: str, block: PublicAccessBlock | None) -> None:
        """Set what is blocked for all buckets of an account, or remove that."""
        key = records.account_block_key(account)
        write = Delete(key) if block is None else Put(key, encode(AccountBlockRecord(block=block)))
        await self._meta.commit([write], [])
