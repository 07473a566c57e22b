"""Users, roles and groups: found by name, listed, changed. What they share is written once here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from s3server.core import identity_records as rows
from s3server.core import records
from s3server.core.commit import Commits, Plan
from s3server.core.identity_records import GroupRecord, RoleRecord
from s3server.core.projects import check_project
from s3server.core.records import IdentityRecord, UserRecord, decode, encode
from s3server.errors import EntityAlreadyExists, NoSuchEntity
from s3server.meta.base import (
    Check,
    Delete,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
    pages_of,
)

H = TypeVar("H", bound=IdentityRecord)


@dataclass(frozen=True, slots=True)
class Kind(Generic[H]):
    """One of the three, and where its rows are."""

    noun: str  # as in ARNs and error texts
    record: type[H]
    key: Callable[[str], bytes]
    name_key: Callable[[str, str], bytes]


USERS = Kind("user", UserRecord, records.user_key, records.user_name_key)
ROLES = Kind("role", RoleRecord, rows.role_key, rows.role_name_key)
GROUPS = Kind("group", GroupRecord, rows.group_key, rows.group_name_key)


@dataclass(frozen=True, slots=True)
class Change(Generic[H]):
    """What a record becomes, and what else is written and must hold for it."""

    record: H
    writes: list[Write] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


class Directory:
    """All identities of one store. Names ignore case; what was given is what is shown."""

    def __init__(self, meta: MetadataStore) -> None:
        self.meta = meta
        self.commit = Commits(meta)

    async def find(self, kind: Kind[H], account: str, name: str) -> H | None:
        """Return the identity of that name, or None."""
        found = await self._find(kind, account, name)
        return None if found is None else found[0]

    async def get(self, kind: Kind[H], account: str, name: str) -> H:
        """Return the identity of that name. Raises NoSuchEntity."""
        return (await self.load(kind, account, name))[0]

    async def load(self, kind: Kind[H], account: str, name: str) -> tuple[H, bytes]:
        """Return the identity of that name, and its row. Raises NoSuchEntity."""
        found = await self._find(kind, account, name)
        if found is None:
            raise NoSuchEntity(f"The {kind.noun} with name {name} cannot be found.")
        return found

    async def find_by_id(self, kind: Kind[H], identity_id: str) -> H | None:
        """Return the identity with a canonical id, or None."""
        row = await self.meta.get(kind.key(identity_id))
        return None if row is None else decode(kind.record, row)

    async def page(
        self, kind: Kind[H], account: str, *, path: str = "/", after: str = "", limit: int
    ) -> tuple[list[H], bool]:
        """Return identities whose path begins so, by name, and whether there are more.

        `after` is the name that the page before ended with.
        """
        table = kind.name_key(account, "")
        start = kind.name_key(account, after) + b"\0" if after else table
        found: list[H] = []
        async for page in pages_of(self.meta, start, after_prefix(table)):
            values = await self.meta.get_many([kind.key(value.decode()) for _, value in page])
            holders = (decode(kind.record, row) for row in values if row is not None)
            found += [holder for holder in holders if holder.path.startswith(path)]
            if len(found) > limit:
                return found[:limit], True
        return found, False

    async def create(self, kind: Kind[H], record: H, make: Callable[[], Awaitable[Change[H]]]) -> H:
        """Store a new identity, with what `make` adds.

        Raises EntityAlreadyExists, and what check_project() raises.
        """
        name_key = kind.name_key(record.account, record.name)

        async def plan() -> Plan[H]:
            if await self.meta.get(name_key) is not None:
                raise _already(kind, record.name)
            change = await make()
            new = change.record
            put = [Put(name_key, new.id.encode()), Put(kind.key(new.id), encode(new))]
            checks = [Unchanged(name_key, None), await check_project(self.meta, new.account)]
            return Plan(new, [*put, *change.writes], [*checks, *change.checks])

        return await self.commit(plan)

    async def change(
        self, kind: Kind[H], account: str, name: str, make: Callable[[H], Awaitable[Change[H]]]
    ) -> H:
        """Store what `make` makes of an identity, be it another name; return that.

        Raises NoSuchEntity, EntityAlreadyExists, and what `make` raises.
        """

        async def plan() -> Plan[H]:
            old, row = await self.load(kind, account, name)
            change = await make(old)
            new, key = change.record, kind.key(old.id)
            if new == old and not change.writes:
                return Plan(new)
            renaming = await self._rename(kind, old, new)
            return Plan(
                new,
                [Put(key, encode(new)), *renaming.writes, *change.writes],
                [Unchanged(key, row), *renaming.checks, *change.checks],
            )

        return await self.commit(plan)

    async def remove(
        self, kind: Kind[H], account: str, name: str, make: Callable[[H], Awaitable[Change[H]]]
    ) -> None:
        """Remove an identity once `make` has nothing against it, with what that names.

        Raises NoSuchEntity, and what `make` raises.
        """

        async def plan() -> Plan[None]:
            holder, row = await self.load(kind, account, name)
            change = await make(holder)
            key, name_key = kind.key(holder.id), kind.name_key(account, holder.name)
            return Plan(
                None,
                [Delete(name_key), Delete(key), *change.writes],
                [Unchanged(key, row), *change.checks],
            )

        await self.commit(plan)

    async def _find(self, kind: Kind[H], account: str, name: str) -> tuple[H, bytes] | None:
        identity = await self.meta.get(kind.name_key(account, name))
        row = None if identity is None else await self.meta.get(kind.key(identity.decode()))
        return None if row is None else (decode(kind.record, row), row)

    async def _rename(self, kind: Kind[H], old: H, new: H) -> Change[H]:
        was, becomes = (kind.name_key(one.account, one.name) for one in (old, new))
        if was == becomes:
            return Change(new)
        if await self.meta.get(becomes) is not None:
            raise _already(kind, new.name)
        return Change(new, [Delete(was), Put(becomes, new.id.encode())], [Unchanged(becomes, None)])


def _already(kind: Kind[H], name: str) -> EntityAlreadyExists:
    return EntityAlreadyExists(f"{kind.noun.capitalize()} with name {name} already exists.")
