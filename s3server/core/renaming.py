"""Renaming: a key's current version comes to lie under another key, in one commit.

No byte moves: the new version refers to the blobs of the old one. In a bucket with versions the old
key gets a delete marker, and its versions stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from s3server.core.blobs import Blobs
from s3server.core.commit import Commits, Plan
from s3server.core.locks import retention_of
from s3server.core.notifications import Cause, Caused
from s3server.core.objects import Deleted, Objects, WriteCondition
from s3server.core.quotas import Quotas
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.errors import S3Error
from s3server.meta.base import MetadataStore


class IdempotencyParameterMismatch(S3Error):
    """A client's token stands for one request only."""

    status = 400
    message = "The client token was used for another request."


@dataclass(frozen=True, slots=True)
class Rename:
    """What is to be renamed, by whom, and under which condition on what the target replaces."""

    bucket: BucketRecord
    source: str
    target: str
    token: str  # the client's for this very request; "" where there is none
    by: str  # canonical user id, the owner of a delete marker
    condition: WriteCondition
    created: Cause
    removed: Cause


class Renaming:
    """Renames objects of one store."""

    def __init__(self, meta: MetadataStore, blobs: Blobs, objects: Objects) -> None:
        self._blobs, self._objects = blobs, objects
        self._commit = Commits(meta)
        self._quotas = Quotas(meta)

    async def rename(self, what: Rename, check: Callable[[ObjectRecord], None]) -> ObjectRecord:
        """Rename an object; return its record under the new key.

        `check` raises where the version that is found may not be renamed. A request that is sent
        again with its token is answered as the first was. Raises NoSuchKey, PreconditionFailed,
        IdempotencyParameterMismatch, QuotaExceeded, and AccessDenied where a version that is locked
        would go.
        """

        async def plan() -> Plan[ObjectRecord]:
            target = await self._objects.versions.open(what.bucket, what.target)
            if (done := _done_before(what, target.current)) is not None:
                return Plan(done, checks=target.checks)
            found = await self._objects.locate(target.bucket, what.source)
            check(found.record)
            what.condition.verify(target.current, what.target)
            held = self._objects.retention_in(target.bucket, retention_of(found.record))
            record = structs.replace(
                found.record,
                **self._objects.next_version(target),
                retention_mode=held.mode,
                retain_until_ms=held.until_ms,
                renamed_from=(what.source, what.token),
            )
            writes, checks = await self._blobs.share_all(blob for blob in record.blobs if blob)
            await self._objects.versions.push(target, record)
            source = await self._objects.versions.open(target.bucket, what.source)
            deleted = await self._objects.delete_current(source, what.by)
            target.tally.absorb(source.tally)
            checks += await self._quotas.checks(target.tally)
            created, removed = await self._caused(what, record, deleted)
            return Plan(
                record,
                [*writes, *target.writes, *source.writes, *created.writes, *removed.writes],
                [*checks, *target.checks, *source.checks, found.check],
                [*created.after, *removed.after],
            )

        return await self._commit(plan)

    async def _caused(
        self, what: Rename, record: ObjectRecord, deleted: Deleted
    ) -> tuple[Caused, Caused]:
        """Return the events of both keys."""
        objects = self._objects
        return (
            await objects.notifications.of(what.bucket, what.created, what.target, record),
            await objects.events_of_deletion(what.bucket, what.removed, what.source, deleted),
        )


def _done_before(what: Rename, current: ObjectRecord | None) -> ObjectRecord | None:
    """Return what an earlier request of the same token made."""
    if current is None or not what.token or current.renamed_from[1] != what.token:
        return None
    if current.renamed_from[0] != what.source:
        raise IdempotencyParameterMismatch
    return current
