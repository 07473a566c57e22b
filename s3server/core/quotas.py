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
    QUOTAS_CHANGED,
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
MOST_KNOWN = 10_000
_KINDS = {b"N": "bucket", b"nP": "project", b"nU": "user"}


class Quotas:
    """Quotas of one store, by scope (see `project_records`)."""

    def __init__(self, meta: MetadataStore) -> None:
        self._meta = meta
        self._known: dict[bytes, QuotaRecord] = {}  # by scope, as of `_changed`
        self._changed: bytes | None = None

    async def get(self, scope: bytes) -> QuotaRecord:
        """Return the quota of a scope."""
        row = await self._meta.get(quota_key(scope))
        return NO_QUOTA if row is None else decode(QuotaRecord, row)

    async def put(self, scope: bytes, quota: QuotaRecord) -> None:
        """Set the quota of a scope, from the next request on; it may be below what is there."""
        key = quota_key(scope)
        change: Write = Delete(key) if quota == NO_QUOTA else Put(key, encode(quota))
        await self._meta.commit([change, Add(QUOTAS_CHANGED, 1)])

    async def may_limit(self, bucket: BucketRecord, owner: str) -> bool:
        """Return whether there is a quota on what an owner stores in a bucket."""
        scopes = [bucket_scope(bucket.id), project_scope(bucket.account), user_scope(owner)]
        return any(quota is not NO_QUOTA for quota in await self._of(scopes))

    async def checks(self, tally: Tally) -> list[Check]:
        """Return what must hold for a change that makes more of something."""
        if await self._meta.get(QUOTAS_CHANGED) is None:
            return []  # of most stores: nobody has ever set one
        counted = tally.scopes()
        quotas = zip(counted.items(), await self._of(list(counted)), strict=True)
        found: list[Check] = []
        for (scope, counts), quota in quotas:
            if quota is NO_QUOTA:
                continue
            more_bytes = sum(counts.get(name, 0) for name in COUNTED_BYTES) > 0
            more_objects = sum(counts.get(name, 0) for name in COUNTED_OBJECTS) > 0
            if more_bytes and quota.bytes is not None:
                found.append(_limit(scope, COUNTED_BYTES, quota.bytes, "bytes"))
            if more_objects and quota.objects is not None:
                found.append(_limit(scope, COUNTED_OBJECTS, quota.objects, "objects"))
        return found

    async def checks_of_bucket(self, owner: Principal) -> list[Check]:
        """Return what must hold for one more bucket of an owner's."""
        scopes = [project_scope(owner.account), user_scope(owner.id)]
        quotas = await self._of(scopes)
        return [
            _limit(scope, (BUCKETS,), quota.buckets, "buckets")
            for scope, quota in zip(scopes, quotas, strict=True)
            if quota.buckets is not None
        ]

    async def _of(self, scopes: Sequence[bytes]) -> list[QuotaRecord]:
        """Return the quotas of these, NO_QUOTA where there is none.

        Each write asks for three, twice: they are read again once any quota of the store changed.
        """
        changed = await self._meta.get(QUOTAS_CHANGED)
        while True:
            if changed != self._changed or len(self._known) > MOST_KNOWN:
                self._known, self._changed = {}, changed
            due = [scope for scope in scopes if scope not in self._known]
            if not due:
                return [self._known[scope] for scope in scopes]
            keys = [QUOTAS_CHANGED, *(quota_key(scope) for scope in due)]
            changed, *rows = await self._meta.get_many(keys)
            if changed == self._changed:
                found = (NO_QUOTA if row is None else decode(QuotaRecord, row) for row in rows)
                self._known.update(zip(due, found, strict=True))

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
