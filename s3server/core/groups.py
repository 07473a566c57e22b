"""Groups: users who share policies."""

from __future__ import annotations

from msgspec.structs import replace

from s3server.core import identity_records as rows
from s3server.core.attachments import rows_of
from s3server.core.clock import Clock, Ids
from s3server.core.directory import GROUPS, USERS, Change, Directory
from s3server.core.identity_records import GroupRecord
from s3server.core.records import UserRecord, decode, user_key
from s3server.iam_errors import DeleteConflict, LimitExceeded
from s3server.meta.base import Delete, Empty, Put, Unchanged, after_prefix, pages_of

MAX_GROUPS = 10  # of a user, as in IAM


class Groups:
    """Groups of one store, and who is in them."""

    def __init__(self, directory: Directory, *, clock: Clock, ids: Ids) -> None:
        self._directory, self._clock, self._ids = directory, clock, ids

    async def create(self, account: str, name: str, path: str) -> GroupRecord:
        """Create a group. Raises EntityAlreadyExists."""
        group = GroupRecord(
            id=self._ids.canonical_user_id(),
            name=name,
            account=account,
            created_ms=self._clock.now_ms(),
            path=path,
        )

        async def make() -> Change[GroupRecord]:
            return Change(group)

        return await self._directory.create(GROUPS, group, make)

    async def delete(self, account: str, name: str) -> None:
        """Delete a group. Raises DeleteConflict while it has users or policies."""

        async def make(group: GroupRecord) -> Change[GroupRecord]:
            if group.bindings.inline:
                raise DeleteConflict("Cannot delete entity, must delete policies first.")
            if group.bindings.managed:
                raise DeleteConflict("Cannot delete entity, must detach all policies first.")
            members = rows.member_key(group.id, "")
            if await self._directory.meta.scan(members, after_prefix(members), limit=1):
                raise DeleteConflict("Cannot delete entity, must remove users from group first.")
            return Change(group, rows_of(GROUPS, group), [Empty(members, after_prefix(members))])

        await self._directory.remove(GROUPS, account, name, make)

    async def add_user(self, account: str, group_name: str, user_name: str) -> None:
        """Put a user into a group; it may be in it already. Raises NoSuchEntity, LimitExceeded."""

        async def make(user: UserRecord) -> Change[UserRecord]:
            group, row = await self._directory.load(GROUPS, account, group_name)
            held = user.bindings.groups
            if group.id in held:
                return Change(user)
            if len(held) >= MAX_GROUPS:
                raise LimitExceeded(f"Cannot exceed quota for GroupsPerUser: {MAX_GROUPS}")
            bindings = replace(user.bindings, groups=(*held, group.id))
            return Change(
                replace(user, bindings=bindings),
                [Put(rows.member_key(group.id, user.id), b"")],
                [Unchanged(rows.group_key(group.id), row)],
            )

        await self._directory.change(USERS, account, user_name, make)

    async def remove_user(self, account: str, group_name: str, user_name: str) -> None:
        """Take a user out of a group; who was bound by its policies stays bound.

        Raises NoSuchEntity.
        """

        async def make(user: UserRecord) -> Change[UserRecord]:
            group, row = await self._directory.load(GROUPS, account, group_name)
            if group.id not in user.bindings.groups:
                return Change(user)
            bindings = replace(
                user.bindings,
                groups=tuple(one for one in user.bindings.groups if one != group.id),
                is_bound=user.bindings.is_bound or group.bindings.is_bound,
            )
            return Change(
                replace(user, bindings=bindings),
                [Delete(rows.member_key(group.id, user.id))],
                [Unchanged(rows.group_key(group.id), row)],
            )

        await self._directory.change(USERS, account, user_name, make)

    async def of_user(self, user: UserRecord) -> list[GroupRecord]:
        """Return the groups that a user is in, by name."""
        keys = [rows.group_key(group) for group in user.bindings.groups]
        found = await self._directory.meta.get_many(keys)
        groups = [decode(GroupRecord, row) for row in found if row is not None]
        return sorted(groups, key=lambda group: group.name.lower())

    async def users_of(self, group: GroupRecord) -> list[UserRecord]:
        """Return the users who are in a group, by name."""
        table = rows.member_key(group.id, "")
        users: list[UserRecord] = []
        async for page in pages_of(self._directory.meta, table, after_prefix(table)):
            keys = [user_key(key[len(table) :].decode()) for key, _ in page]
            found = await self._directory.meta.get_many(keys)
            users += [decode(UserRecord, row) for row in found if row is not None]
        return sorted(users, key=lambda user: user.name.lower())
