"""Quotas of buckets, projects and users: decided in the commit, so that no two writers exceed one.

A quota is on what is there after the commit: versions old and new, parts of uploads in progress.
What makes less is never refused, nor is a delete, although its marker counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3server.core.commit import quota_exceeded
from s3server.core.project_records import (
    BUCKETS,
    COUNTED_BYTES,
    COUNTED_OBJECTS,
    QuotaRecord,
    bucket_scope,
    project_scope,
    quota_key,
    user_scope,
)
from s3server.core.records import BucketRecord, decode, encode
from s3server.core.tally import Tally
from s3server.meta.base import (
    Add,
    AtMost,
    Check,
    Delete,
    MetadataStore,
    Put,
    Write,
    add_up,
)
from s3server.model import Principal

NO_QUOTA = QuotaRecord()
_KINDS = {b"N": "bucket", b"nP": "project", b"nU": "user"}


class Quotas:
    """Quotas of one store, by scope (see `project_records`)."""

    def __init__(self, meta: MetadataStore) -> None:
        self._meta = meta

    async def get(self, scope: bytes) -> QuotaRecord:
        """Return the quota of a scope."""
        row = await self._meta.get(quota_key(scope))
        return NO_QUOTA if row is None else decode(QuotaRecord, row)

    async def put(self, scope: bytes, quota: QuotaRecord) -> None:
        """Set the quota of a scope, from the next request on; it may be below what is there."""
        key = quota_key(scope)
        await self._meta.commit(
            [Delete(key) if quota == NO_QUOTA else Put(key, encode(quota))],
        )

    async def may_limit(self, bucket: BucketRecord, owner: str) -> bool:
        """Return whether there is a quota on what an owner stores in a bucket."""
        scopes = bucket_scope(bucket.id), project_scope(bucket.account), user_scope(owner)
        rows = await self._meta.get_many([quota_key(scope) for scope in scopes])
        return any(row is not None for row in rows)

    async def checks(self, tally: Tally) -> list[Check]:
        """Return what must hold for a change that makes more of something."""
        grown: dict[bytes, tuple[bool, bool]] = {}
        for scope, counts in tally.scopes().items():
            more_bytes = sum(counts[name] for name in COUNTED_BYTES) > 0
            more_objects = sum(counts[name] for name in COUNTED_OBJECTS) > 0
            if more_bytes or more_objects:
                grown[scope] = more_bytes, more_objects
        if not grown:
            return []
        rows = await self._meta.get_many([quota_key(scope) for scope in grown])
        found: list[Check] = []
        for (scope, (more_bytes, more_objects)), row in zip(grown.items(), rows, strict=True):
            if row is None:
                continue
            quota = decode(QuotaRecord, row)
            if more_bytes and quota.bytes is not None:
                found.append(_limit(scope, COUNTED_BYTES, quota.bytes, "bytes"))
            if more_objects and quota.objects is not None:
                found.append(_limit(scope, COUNTED_OBJECTS, quota.objects, "objects"))
        return found

    async def checks_of_bucket(self, owner: Principal) -> list[Check]:
        """Return what must hold for one more bucket of an owner's."""
        scopes = [project_scope(owner.account), user_scope(owner.id)]
        rows = await self._meta.get_many([quota_key(scope) for scope in scopes])
        quotas = [NO_QUOTA if row is None else decode(QuotaRecord, row) for row in rows]
        return [
            _limit(scope, (BUCKETS,), quota.buckets, "buckets")
            for scope, quota in zip(scopes, quotas, strict=True)
            if quota.buckets is not None
        ]

    async def verify(self, checks: Sequence[Check], writes: Sequence[Write]) -> None:
        """Raise QuotaExceeded where the commit of these would, as things are now."""
        for check in checks:
            if isinstance(check, AtMost):
                held = add_up(await self._meta.get_many(check.keys))
                added = (each.delta for each in writes if isinstance(each, Add) and each.key in check.keys)  # fmt: skip # noqa: E501
                if held + sum(added) > check.limit:
                    raise quota_exceeded(check)


def counted_buckets(owner: str, project: str, sign: int) -> list[Write]:
    """Return what counts a bucket that is made (1) or deleted (-1)."""
    name = BUCKETS.encode()
    return [Add(scope + name, sign) for scope in (project_scope(project), user_scope(owner))]


def _limit(scope: bytes, names: Sequence[str], limit: int, unit: str) -> AtMost:
    kind = _KINDS.get(scope[:1]) or _KINDS[scope[:2]]
    keys = tuple(scope + name.encode() for name in names)
    return AtMost(keys, limit, f"{kind} ({limit} {unit})")
