"""Deletes projects that are to go: buckets with all that is in them, then people, then the project.

What is done is gone, so that a step needs to remember nothing: it looks for what is left. Versions
that are retained or on hold stay, and with them their bucket and the project, until they may go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from s3server.core import identity_records, records
from s3server.core.buckets import Buckets
from s3server.core.multipart import Multipart, format_upload_id
from s3server.core.objects import Objects
from s3server.core.project_records import (
    ProjectRecord,
    project_key,
    project_name_key,
    project_scope,
    quota_key,
    user_scope,
)
from s3server.core.projects import Projects
from s3server.core.records import BucketRecord, ObjectRecord, UploadRecord, decode
from s3server.core.versions import NULL_VERSION
from s3server.errors import AccessDenied, NoSuchUpload
from s3server.jobs.board import Progress
from s3server.meta.base import (
    ConflictError,
    Delete,
    Empty,
    MetadataStore,
    Row,
    Unchanged,
    Write,
    after_prefix,
)

ROWS_PER_STEP = 128

# Names of identities in an account; by their ids, which these rows hold: their records, and the
# tables of what else is theirs.
_IDENTITIES = (
    (records.USER_NAME, records.USER, (records.KEY_OF, identity_records.INLINE_POLICY)),
    (identity_records.ROLE_NAME, identity_records.ROLE, (identity_records.INLINE_POLICY,)),
    (
        identity_records.GROUP_NAME,
        identity_records.GROUP,
        (identity_records.MEMBER, identity_records.INLINE_POLICY),
    ),
)
# Older versions first: where the current one goes, one of them comes up.
_VERSIONS = (records.VERSION, records.OBJECT)
_OF_ACCOUNT = (
    identity_records.ATTACHED,
    identity_records.POLICY_VERSION,
    identity_records.MANAGED_POLICY,
    records.TOPIC,
)

_log = structlog.get_logger("jobs")


@dataclass(frozen=True, slots=True)
class Removed:
    """What one step did."""

    versions: int = 0
    uploads: int = 0
    buckets: int = 0
    identities: int = 0
    projects: int = 0
    has_more: bool = False


class DeleteProjects:
    """The end of projects; where it is among locked versions is kept in memory only."""

    name = "delete-projects"
    pause_s = 10.0

    def __init__(
        self,
        meta: MetadataStore,
        projects: Projects,
        buckets: Buckets,
        objects: Objects,
        multipart: Multipart,
    ) -> None:
        self._meta, self._projects, self._buckets = meta, projects, buckets
        self._objects, self._multipart = objects, multipart
        self._after: dict[bytes, bytes] = {}  # by table and bucket: past what is locked
        self.progress = Progress(unit="versions")

    async def step(self) -> Removed:
        """Remove the next of what the first project has left that is to be deleted."""
        self.progress.note = ""
        for project in await self._projects.list_projects():
            if project.is_deleting:
                removed = await self._remove(project)
                if removed.has_more:
                    return removed
        self._after.clear()  # what was locked may be free the next time
        return Removed()

    async def _remove(self, project: ProjectRecord) -> Removed:
        locked = 0
        for bucket in await self._buckets_of(project):
            removed = await self._empty(bucket)
            if removed is not None:
                self.progress.done += removed.versions
                return removed
            locked += 1
        if locked:
            self.progress.note = f"project {project.name}: {locked} buckets hold locked versions"
            return Removed()
        identities = await self._remove_identities(project.id)
        if identities:
            return Removed(identities=identities, has_more=True)
        for table in _OF_ACCOUNT:
            rows = await self._rows(table + records.in_account(project.id, ""))
            if rows:
                await self._meta.commit([Delete(key) for key, _ in rows])
                return Removed(has_more=True)
        row = await self._meta.get(project_key(project.id))
        if row is None or not decode(ProjectRecord, row).is_deleting:
            return Removed(has_more=True)
        # Nothing can have been made in it since (`check_project`), and it was not renewed.
        await self._meta.commit(
            [
                Delete(project_key(project.id)),
                Delete(project_name_key(project.name)),
                Delete(quota_key(project_scope(project.id))),
                Delete(records.account_block_key(project.id)),
            ],
            [Unchanged(project_key(project.id), row)],
        )
        _log.info("project deleted", project=project.name, id=project.id)
        return Removed(projects=1, has_more=True)

    async def _buckets_of(self, project: ProjectRecord) -> list[BucketRecord]:
        everybodys = await self._buckets.list_all()
        return [bucket for bucket in everybodys if bucket.account == project.id]

    async def _empty(self, bucket: BucketRecord) -> Removed | None:
        """Remove the next of a bucket, in the end itself; None where only locked versions stay."""
        for table in _VERSIONS:
            place = table + bucket.id
            rows = await self._rows(place, self._after.get(place, place))
            if rows:
                gone = await asyncio.gather(*(self._remove_version(bucket, row) for row in rows))
                if not all(gone):
                    self._after[place] = rows[-1][0] + b"\0"
                return Removed(versions=sum(gone), has_more=True)
        rows = await self._rows(records.UPLOAD + bucket.id)
        for _, row in rows:
            upload = decode(UploadRecord, row)
            with suppress(NoSuchUpload):
                await self._multipart.abort(bucket, upload.key, format_upload_id(upload.id))
        if rows:
            return Removed(uploads=len(rows), has_more=True)
        if any(table + bucket.id in self._after for table in _VERSIONS):
            return None
        await self._buckets.delete(bucket)
        return Removed(buckets=1, has_more=True)

    async def _remove_version(self, bucket: BucketRecord, row: Row) -> bool:
        """Remove a version for good; tell whether it could be."""
        is_current = row[0][:1] == records.OBJECT
        key = (row[0][9:] if is_current else row[0][9:-9]).decode()
        version_id = decode(ObjectRecord, row[1]).version_id or NULL_VERSION
        try:
            await self._objects.delete(bucket, key, version_id)
        except AccessDenied:  # retained, or on hold
            return False
        return True

    async def _remove_identities(self, account: str) -> int:
        """Remove the next users, roles or groups with all that is theirs; return how many."""
        for names, table, further in _IDENTITIES:
            rows = await self._rows(names + records.in_account(account, ""))
            for name_key, identity in rows:
                for prefix in further:
                    while owned := await self._rows(prefix + identity):
                        await self._meta.commit(_with_their_keys(prefix + identity, owned))
                owned_by = (prefix + identity for prefix in further)
                with suppress(ConflictError):  # more was made meanwhile: the next step
                    await self._meta.commit(
                        [
                            Delete(name_key),
                            Delete(table + identity),
                            Delete(quota_key(user_scope(identity.decode()))),
                        ],
                        [Empty(prefix, after_prefix(prefix)) for prefix in owned_by],
                    )
            if rows:
                return len(rows)
        return 0

    async def _rows(self, prefix: bytes, start: bytes = b"") -> list[Row]:
        return await self._meta.scan(start or prefix, after_prefix(prefix), limit=ROWS_PER_STEP)


def _with_their_keys(prefix: bytes, rows: Sequence[Row]) -> list[Write]:
    """Return what removes rows, and the access keys that those of table L are about."""
    gone: list[Write] = [Delete(key) for key, _ in rows]
    if prefix[:1] == records.KEY_OF:
        for key_id in [key[len(prefix) :].decode() for key, _ in rows]:
            gone += [
                Delete(records.access_key_key(key_id)),
                Delete(identity_records.last_used_key(key_id)),
            ]
    return gone
