"""Roles: what somebody who is not a user of ours may become for a while."""

from __future__ import annotations

from s3server.core import identity_records as rows
from s3server.core.identity_records import RoleRecord
from s3server.core.records import decode
from s3server.meta.base import MetadataStore


class Roles:
    """Roles of one store."""

    def __init__(self, meta: MetadataStore) -> None:
        self._meta = meta

    async def find_role(self, account: str, name: str) -> RoleRecord | None:
        """Return the role of that name, in whatever case it is written, or None."""
        role_id = await self._meta.get(rows.role_name_key(account, name))
        return None if role_id is None else await self.find_role_by_id(role_id.decode())

    async def find_role_by_id(self, role_id: str) -> RoleRecord | None:
        """Return the role with a canonical id, or None."""
        row = await self._meta.get(rows.role_key(role_id))
        return None if row is None else decode(RoleRecord, row)
