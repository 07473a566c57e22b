"""Taking sessions back: all those of a user or a role that began before now, at once everywhere."""

from __future__ import annotations

from msgspec.structs import replace

from s3server.core import identity_records as rows
from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.identity_records import RoleRecord
from s3server.core.records import UserRecord, decode, encode
from s3server.errors import NoSuchEntity
from s3server.meta.base import MetadataStore, Put, Unchanged


class Revocation:
    """Ends sessions: their user's and role's rows are read in every request."""

    def __init__(self, meta: MetadataStore, clock: Clock) -> None:
        self._meta, self._clock = meta, clock
        self._commit = Commits(meta)

    async def of_user(self, account: str, name: str) -> None:
        """End all sessions that began with an access key of a user. Raises NoSuchEntity."""
        user_id = await self._meta.get(records.user_name_key(account, name))
        if user_id is None:
            raise NoSuchEntity(f"There is no user named {name}.")
        await self._end(records.user_key(user_id.decode()), UserRecord)

    async def of_role(self, account: str, name: str) -> None:
        """End all sessions of a role, and of roles that it led to. Raises NoSuchEntity."""
        role_id = await self._meta.get(rows.role_name_key(account, name))
        if role_id is None:
            raise NoSuchEntity(f"There is no role named {name}.")
        await self._end(rows.role_key(role_id.decode()), RoleRecord)

    async def _end(self, key: bytes, kind: type[UserRecord] | type[RoleRecord]) -> None:
        async def plan() -> Plan[None]:
            row = await self._meta.get(key)
            if row is None:
                raise NoSuchEntity("It was deleted meanwhile.")
            changed = replace(decode(kind, row), sessions_valid_from_ms=self._clock.now_ms() + 1)
            return Plan(None, [Put(key, encode(changed))], [Unchanged(key, row)])

        await self._commit(plan)
