"""Projects: people, their keys and their buckets, together and for a limited time.

What a project may do follows from its dates and the time, at each request; no job has to run for
it to end. The default project is always there, and has a row only once something was set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from s3server.core import records
from s3server.core.clock import Clock, Ids
from s3server.core.commit import Commits, Plan
from s3server.core.project_records import PROJECT_NAME, ProjectRecord, project_key, project_name_key
from s3server.core.records import BucketRecord, Remembering, decode, encode
from s3server.errors import AccountProblem, EntityAlreadyExists, InvalidArgument, NoSuchEntity
from s3server.meta.base import Check, Empty, MetadataStore, Put, Unchanged, after_prefix, pages_of
from s3server.model import Principal

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_NAME = "default"
DAY_MS = 86_400_000
NOTICE_MS = 30 * DAY_MS
GRACE_MS = 30 * DAY_MS

_DEFAULT = ProjectRecord(id=DEFAULT_ACCOUNT, name=DEFAULT_NAME, created_ms=0)
_READS = ("Get", "List", "Head", "Simulate", "Generate")
_MAX_NAME_CHARACTERS = 64

State = Literal["pending", "active", "notice", "read-only", "disabled", "deleting"]


def state_of(project: ProjectRecord, now_ms: int) -> State:
    """Return what a project may do at a time.

    "pending" before its start and "disabled" after its grace: nothing; "read-only" after its end;
    "notice" shortly before the end: everything, as "active".
    """
    if project.is_deleting:
        return "deleting"
    if project.is_disabled:
        return "disabled"
    if now_ms < project.start_ms:
        return "pending"
    if not project.end_ms or now_ms < project.end_ms - project.notice_ms:
        return "active"
    if now_ms < project.end_ms:
        return "notice"
    return "read-only" if now_ms < project.end_ms + project.grace_ms else "disabled"


class Projects:
    """Projects of one store."""

    def __init__(self, meta: MetadataStore, *, clock: Clock, ids: Ids) -> None:
        self._meta, self._clock, self._ids = meta, clock, ids
        self._commit = Commits(meta)
        self._decode = Remembering(ProjectRecord)

    def state(self, project: ProjectRecord) -> State:
        """Return what a project may do now."""
        return state_of(project, self._clock.now_ms())

    async def admit(
        self, principal: Principal, action: str, bucket: BucketRecord | None
    ) -> ProjectRecord | None:
        """Raise AccountProblem unless the projects of both let anybody do `action` now.

        Returns the project whose rates the request is held to, if it has any: the principal's, or
        that of the bucket where nobody signed. Root works in every project, whatever its state.
        Costs a look-up for a project.
        """
        if principal.is_root:
            return None
        counted: ProjectRecord | None = None
        if not principal.is_anonymous:
            counted = await self._admit(principal.account, action)
        if bucket is not None and (principal.is_anonymous or bucket.account != principal.account):
            found = await self._admit(bucket.account, action)
            counted = found if principal.is_anonymous else counted
        return counted

    async def _admit(self, project_id: str, action: str) -> ProjectRecord | None:
        row = await self._meta.get(project_key(project_id))
        return self.admit_to(self.of_row(project_id, row), action)

    def admit_to(self, project: ProjectRecord, action: str) -> ProjectRecord | None:
        """Raise AccountProblem unless a project lets anybody do `action`; return it for its rates.

        None where it has none.
        """
        self._check(project, action)
        return project if project.requests_per_s or project.bytes_per_s else None

    def _check(self, project: ProjectRecord, action: str) -> None:
        if not (project.end_ms or project.start_ms or project.is_disabled or project.is_deleting):
            return
        state = self.state(project)
        if state == "pending":
            raise AccountProblem(f"The project {project.name} has not begun yet.")
        if state in ("disabled", "deleting"):
            raise AccountProblem(f"The project {project.name} has ended or is disabled.")
        if state == "read-only" and not _is_read(action):
            raise AccountProblem(f"The project {project.name} has ended and can only be read.")

    async def create(
        self,
        name: str,
        *,
        owner: str = "",
        start_ms: int = 0,
        end_ms: int = 0,
        notice_ms: int = NOTICE_MS,
        grace_ms: int = GRACE_MS,
    ) -> ProjectRecord:
        """Create a project. A name is free again as soon as its project is deleted.

        Raises EntityAlreadyExists, InvalidArgument.
        """
        _check_name(name)
        _check_dates(start_ms, end_ms)
        name_key = project_name_key(name)

        async def plan() -> Plan[ProjectRecord]:
            if name == DEFAULT_NAME or await self._meta.get(name_key) is not None:
                raise EntityAlreadyExists(f"A project named {name} exists already.")
            project = ProjectRecord(
                id=self._ids.project_id(),
                name=name,
                created_ms=self._clock.now_ms(),
                owner=owner,
                start_ms=start_ms,
                end_ms=end_ms,
                notice_ms=notice_ms,
                grace_ms=grace_ms,
            )
            key = project_key(project.id)
            users = records.user_name_key(project.id, "")
            return Plan(
                result=project,
                writes=[Put(key, encode(project)), Put(name_key, project.id.encode())],
                checks=[
                    Unchanged(name_key, None),
                    Unchanged(key, None),
                    Empty(users, after_prefix(users)),
                ],
            )

        return await self._commit(plan)

    async def find(self, project_id: str) -> ProjectRecord | None:
        """Return a project by its id, or None."""
        row = await self._meta.get(project_key(project_id))
        if row is None:
            return _DEFAULT if project_id == DEFAULT_ACCOUNT else None
        return self._decode(row)

    def of_row(self, project_id: str, row: bytes | None) -> ProjectRecord:
        """Return a project whose row was read. Raises AccountProblem where it has been deleted."""
        if row is not None:
            return self._decode(row)
        if project_id == DEFAULT_ACCOUNT:
            return _DEFAULT
        raise AccountProblem("The project has been deleted.")

    async def get(self, name: str) -> ProjectRecord:
        """Return a project by its name. Raises NoSuchEntity."""
        return (await self._load(name))[0]

    async def list_projects(self) -> list[ProjectRecord]:
        """Return all projects, in the order of their names."""
        found = [await self.get(DEFAULT_NAME)]
        async for page in pages_of(self._meta, PROJECT_NAME, after_prefix(PROJECT_NAME)):
            for _, project_id in page:
                project = await self.find(project_id.decode())
                if project is not None:
                    found.append(project)
        return sorted(found, key=lambda project: project.name)

    async def update(
        self, name: str, change: Callable[[ProjectRecord], ProjectRecord]
    ) -> ProjectRecord:
        """Store what `change` makes of a project; return that. It keeps its id and its name.

        Raises NoSuchEntity, InvalidArgument, and what `change` raises.
        """

        async def plan() -> Plan[ProjectRecord]:
            project, row = await self._load(name)
            changed = replace(change(project), id=project.id, name=project.name)
            _check_dates(changed.start_ms, changed.end_ms)
            key = project_key(project.id)
            return Plan(
                result=changed, writes=[Put(key, encode(changed))], checks=[Unchanged(key, row)]
            )

        return await self._commit(plan)

    async def begin_delete(self, name: str) -> ProjectRecord:
        """Have a project deleted with all that is in it; a job does that by and by.

        Raises NoSuchEntity, and InvalidArgument where it has not ended, or is the default one.
        """
        if name == DEFAULT_NAME:
            raise InvalidArgument("The default project stays.", ArgumentName="project")

        def change(now: ProjectRecord) -> ProjectRecord:
            if self.state(now) not in ("read-only", "disabled", "deleting"):
                raise InvalidArgument(
                    f"The project {name} has not ended: disable it first.", ArgumentName="project"
                )
            return replace(now, is_disabled=True, is_deleting=True)

        return await self.update(name, change)

    async def _load(self, name: str) -> tuple[ProjectRecord, bytes | None]:
        project_id = DEFAULT_ACCOUNT.encode()
        if name != DEFAULT_NAME:
            found = await self._meta.get(project_name_key(name[:_MAX_NAME_CHARACTERS]))
            project_id = found or b""
        row = await self._meta.get(project_key(project_id.decode())) if project_id else None
        if row is not None:
            return decode(ProjectRecord, row), row
        if name == DEFAULT_NAME:
            return _DEFAULT, None
        raise NoSuchEntity(f"There is no project named {name}.")


async def check_project(meta: MetadataStore, project_id: str) -> Check:
    """Return the check that something may be made in a project: it is as it is now.

    What names it in its commit leaves nothing behind in a project that is being deleted. Raises
    NoSuchEntity, and AccountProblem where that has begun.
    """
    key = project_key(project_id)
    row = await meta.get(key)
    if row is None and project_id != DEFAULT_ACCOUNT:
        raise NoSuchEntity(f"There is no project with the id {project_id}.")
    if row is not None and decode(ProjectRecord, row).is_deleting:
        raise AccountProblem("The project is being deleted.")
    return Unchanged(key, row)


def _is_read(action: str) -> bool:
    """Return whether an action of IAM's, "s3:GetObject", changes nothing."""
    service, _, verb = action.partition(":")
    return service == "sts" or verb.startswith(_READS)


def _check_name(name: str) -> None:
    legal = name and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not legal or len(name) > _MAX_NAME_CHARACTERS:
        raise InvalidArgument(
            "A project name has 1 to 64 characters of A-Z, a-z, 0-9 and ._-",
            ArgumentName="project",
            ArgumentValue=name[:_MAX_NAME_CHARACTERS],
        )


def _check_dates(start_ms: int, end_ms: int) -> None:
    if 0 < end_ms <= start_ms:
        raise InvalidArgument("A project ends after it begins.", ArgumentName="end")
