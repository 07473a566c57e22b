"""Roles: what somebody who is not a user of ours may become for a while."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from s3server.core.attachments import rows_of
from s3server.core.clock import Clock, Ids
from s3server.core.directory import ROLES, Change, Directory
from s3server.core.identity_records import RoleRecord
from s3server.core.identity_tags import merge_tags
from s3server.core.managed_policies import ManagedPolicies, size_of
from s3server.iam_errors import DeleteConflict, LimitExceeded
from s3server.model import Bindings, Pairs

MAX_TRUST_CHARACTERS = 2_048  # as in IAM, where a quota is not raised
DEFAULT_SESSION_S = 3_600


class Roles:
    """Roles of one store. They are always bound by their policies."""

    def __init__(
        self, directory: Directory, policies: ManagedPolicies, *, clock: Clock, ids: Ids
    ) -> None:
        self._directory, self._policies = directory, policies
        self._clock, self._ids = clock, ids

    async def find_role(self, account: str, name: str) -> RoleRecord | None:
        """Return the role of that name, in whatever case it is written, or None."""
        return await self._directory.find(ROLES, account, name)

    async def find_role_by_id(self, role_id: str) -> RoleRecord | None:
        """Return the role with a canonical id, or None."""
        return await self._directory.find_by_id(ROLES, role_id)

    async def create(
        self,
        account: str,
        name: str,
        trust_policy: str,
        *,
        path: str = "/",
        description: str = "",
        tags: Pairs = (),
        max_session_s: int = DEFAULT_SESSION_S,
        boundary: str = "",
        trusted: Pairs = (),
    ) -> RoleRecord:
        """Create a role whom its trust policy lets in, which must be valid and names `trusted`.

        Raises EntityAlreadyExists, LimitExceeded, NoSuchEntity for the boundary.
        """
        _check_size(trust_policy)
        role = RoleRecord(
            id=self._ids.canonical_user_id(),
            name=name,
            account=account,
            created_ms=self._clock.now_ms(),
            trust_policy=trust_policy,
            path=path,
            description=description,
            tags=merge_tags((), tags),
            bindings=Bindings(is_bound=True, boundary=boundary),
            max_session_s=max_session_s,
            trusted=trusted,
        )

        async def make() -> Change[RoleRecord]:
            if not boundary:
                return Change(role)
            use = "role-boundary"
            return Change(role, *await self._policies.hold(account, boundary, use, role.id))

        return await self._directory.create(ROLES, role, make)

    async def update(
        self, account: str, name: str, change: Callable[[RoleRecord], RoleRecord]
    ) -> RoleRecord:
        """Store what `change` makes of a role. Raises NoSuchEntity, and what `change` raises."""

        async def make(old: RoleRecord) -> Change[RoleRecord]:
            return Change(change(old))

        return await self._directory.change(ROLES, account, name, make)

    async def set_trust(
        self, account: str, name: str, trust_policy: str, trusted: Pairs = ()
    ) -> None:
        """Replace whom a role lets in; as with create(). Raises NoSuchEntity, LimitExceeded."""
        _check_size(trust_policy)

        def change(old: RoleRecord) -> RoleRecord:
            return replace(old, trust_policy=trust_policy, trusted=trusted)

        await self.update(account, name, change)

    async def delete(self, account: str, name: str) -> None:
        """Delete a role: its sessions end. Raises DeleteConflict while it has policies."""

        async def make(role: RoleRecord) -> Change[RoleRecord]:
            if role.bindings.inline:
                raise DeleteConflict("Cannot delete entity, must delete policies first.")
            if role.bindings.managed:
                raise DeleteConflict("Cannot delete entity, must detach all policies first.")
            return Change(role, rows_of(ROLES, role))

        await self._directory.remove(ROLES, account, name, make)


def _check_size(trust_policy: str) -> None:
    if size_of(trust_policy) > MAX_TRUST_CHARACTERS:
        raise LimitExceeded(f"Cannot exceed quota for ACLSizePerRole: {MAX_TRUST_CHARACTERS}")
