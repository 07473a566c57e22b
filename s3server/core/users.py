"""Users and their access keys: everybody can be listed, with as many keys as wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from s3server.core import identity_records as rows
from s3server.core import records
from s3server.core.attachments import rows_of
from s3server.core.clock import Clock, Ids
from s3server.core.commit import Commits, Plan
from s3server.core.directory import USERS, Change, Directory
from s3server.core.identity_tags import merge_tags
from s3server.core.key_scope import scope_policies
from s3server.core.managed_policies import ManagedPolicies
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.core.records import AccessKeyRecord, Remembering, UserRecord, decode, encode
from s3server.errors import EntityAlreadyExists, InvalidArgument, NoSuchEntity
from s3server.iam_errors import DeleteConflict
from s3server.meta.base import (
    Check,
    Delete,
    Empty,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
    pages_of,
)
from s3server.model import Bindings, Pairs

ChangeKey = Callable[[AccessKeyRecord], AccessKeyRecord]
NO_KEYS: Mapping[str, ChangeKey] = {}
_MAX_NAME_CHARACTERS = 64  # IAM's limit for user names
_MAX_KEY_ID_CHARACTERS = 128  # IAM's limit for access key ids


class Secrets(Protocol):
    """Makes access keys, and seals secrets so that metadata alone does not reveal them."""

    def new_access_key_id(self) -> str: ...

    def new_secret(self) -> str: ...

    def seal(self, access_key_id: str, secret: str) -> bytes: ...


class Users:
    """Users of one store, and their access keys."""

    def __init__(
        self,
        meta: MetadataStore,
        *,
        clock: Clock,
        ids: Ids,
        secrets: Secrets,
        reserved_key_ids: frozenset[str] = frozenset(),
    ) -> None:
        self._meta, self._clock, self._ids, self._secrets = meta, clock, ids, secrets
        self._reserved = reserved_key_ids
        self._commit = Commits(meta)
        self._decode_key = Remembering(AccessKeyRecord)
        self._decode_user = Remembering(UserRecord)
        self._directory = Directory(meta)
        self._policies = ManagedPolicies(self._directory, clock=clock, ids=ids)

    async def create_user(
        self,
        name: str,
        *,
        email: str = "",
        display_name: str = "",
        account: str = DEFAULT_ACCOUNT,
        path: str = "/",
        tags: Pairs = (),
        is_bound: bool = False,
        boundary: str = "",
    ) -> UserRecord:
        """Create a user in a project. A name is free again as soon as its user is deleted.

        Who `is_bound` may do nothing but what policies allow; others are free in their own
        buckets, until they get a policy. Raises EntityAlreadyExists, InvalidArgument, NoSuchEntity
        where there is no such project or boundary.
        """
        _check_name(name)
        user = UserRecord(
            id=self._ids.canonical_user_id(),
            name=name,
            account=account,
            created_ms=self._clock.now_ms(),
            email=email,
            display_name=display_name,
            path=path,
            tags=merge_tags((), tags),
            bindings=Bindings(is_bound=is_bound or boundary != "", boundary=boundary),
        )

        async def make() -> Change[UserRecord]:
            if not boundary:
                return Change(user)
            use = "user-boundary"
            return Change(user, *await self._policies.hold(account, boundary, use, user.id))

        return await self._directory.create(USERS, user, make)

    async def list_users(self) -> list[UserRecord]:
        """Return all users, in the order of their accounts and names."""
        rows = await self._all(records.USER_NAME)
        found = await self._meta.get_many([records.user_key(user.decode()) for _, user in rows])
        return [decode(UserRecord, row) for row in found if row is not None]

    async def get_user(self, name: str, *, account: str = DEFAULT_ACCOUNT) -> UserRecord:
        """Return the user of that name. Raises NoSuchEntity."""
        return await self._directory.get(USERS, account, name)

    async def find_by_id(self, user_id: str) -> UserRecord | None:
        """Return the user with a canonical id, or None."""
        row = await self._meta.get(records.user_key(user_id))
        return None if row is None else self._decode_user(row)

    async def update_user(
        self,
        name: str,
        change: Callable[[UserRecord], UserRecord],
        *,
        account: str = DEFAULT_ACCOUNT,
        of_keys: Mapping[str, ChangeKey] = NO_KEYS,
    ) -> UserRecord:
        """Store what `change` makes of a user, be it another name; return that.

        What `of_keys` make of the user's keys of these ids is in the same commit. Raises
        NoSuchEntity, EntityAlreadyExists, InvalidArgument, and what `change` raises.
        """

        async def make(old: UserRecord) -> Change[UserRecord]:
            new = change(old)
            _check_name(new.name)
            writes, checks = list[Write](), list[Check]()
            for key_id, change_key in of_keys.items():
                key, row = await self._load_key(key_id, old.id)
                row_key = records.access_key_key(key_id)
                writes.append(Put(row_key, encode(change_key(key))))
                checks.append(Unchanged(row_key, row))
            return Change(new, writes, checks)

        return await self._directory.change(USERS, account, name, make)

    async def remove_user(self, name: str, *, account: str = DEFAULT_ACCOUNT) -> None:
        """Delete a user who has nothing any more: IAM's way. Raises DeleteConflict."""

        async def make(user: UserRecord) -> Change[UserRecord]:
            keys = records.key_of_key(user.id, "")
            if await self._meta.scan(keys, after_prefix(keys), limit=1):
                raise DeleteConflict("Cannot delete entity, must delete access keys first.")
            if user.bindings.inline:
                raise DeleteConflict("Cannot delete entity, must delete policies first.")
            if user.bindings.managed:
                raise DeleteConflict("Cannot delete entity, must detach all policies first.")
            if user.bindings.groups:
                raise DeleteConflict("Cannot delete entity, must remove users from group first.")
            return Change(user, rows_of(USERS, user), [Empty(keys, after_prefix(keys))])

        await self._directory.remove(USERS, account, name, make)

    async def delete_user(self, name: str, *, account: str = DEFAULT_ACCOUNT) -> None:
        """Delete a user with all their keys, policies and memberships: the operator's way.

        Buckets stay, for root to hand on. Raises NoSuchEntity.
        """

        async def make(user: UserRecord) -> Change[UserRecord]:
            keys = await self._key_ids(user)
            of_keys = [Delete(row) for key in keys for row in _rows_of_key(user.id, key)]
            return Change(user, [*of_keys, *rows_of(USERS, user)], _exactly(user, keys))

        await self._directory.remove(USERS, account, name, make)

    async def create_key(
        self,
        user_name: str,
        *,
        description: str = "",
        access_key_id: str | None = None,
        secret: str | None = None,
        account: str = DEFAULT_ACCOUNT,
        expires_ms: int = 0,
        scope: str = "",
    ) -> tuple[AccessKeyRecord, str]:
        """Create an access key; return its record and its secret, which is never shown again.

        Keys of another store may be brought along. `scope` as in `key_scope`. Raises
        NoSuchEntity, EntityAlreadyExists, InvalidArgument.
        """
        if access_key_id is not None:
            _check_key_id(access_key_id)
        key_id = access_key_id or self._secrets.new_access_key_id()
        key_secret = secret or self._secrets.new_secret()
        row_key = records.access_key_key(key_id)

        async def plan() -> Plan[AccessKeyRecord]:
            user, row = await self._directory.load(USERS, account, user_name)
            if key_id in self._reserved or await self._meta.get(row_key) is not None:
                raise EntityAlreadyExists(f"The access key {key_id} exists already.")
            key = AccessKeyRecord(
                id=key_id,
                user=user.id,
                sealed_secret=self._secrets.seal(key_id, key_secret),
                created_ms=self._clock.now_ms(),
                description=description,
                expires_ms=expires_ms,
                tags=(("scope", scope),) if scope else (),
                scope=scope_policies(scope),
            )
            return Plan(
                result=key,
                writes=[Put(row_key, encode(key)), Put(records.key_of_key(user.id, key_id), b"")],
                checks=[Unchanged(row_key, None), Unchanged(_key(user), row)],
            )

        return await self._commit(plan), key_secret

    async def list_keys(
        self, user_name: str, *, account: str = DEFAULT_ACCOUNT
    ) -> list[AccessKeyRecord]:
        """Return the keys of a user. Raises NoSuchEntity."""
        user = await self.get_user(user_name, account=account)
        keys = [records.access_key_key(key) for key in await self._key_ids(user)]
        found = await self._meta.get_many(keys)
        return [decode(AccessKeyRecord, row) for row in found if row is not None]

    async def find_key(self, access_key_id: str) -> tuple[AccessKeyRecord, UserRecord] | None:
        """Return a key and its user, or None."""
        if len(access_key_id) > _MAX_KEY_ID_CHARACTERS:  # perhaps longer than a stored key can be
            return None
        row = await self._meta.get(records.access_key_key(access_key_id))
        if row is None:
            return None
        key = self._decode_key(row)
        user = await self.find_by_id(key.user)
        return None if user is None else (key, user)

    async def update_key(self, access_key_id: str, user_id: str, change: ChangeKey) -> None:
        """Store what `change` makes of a user's key. Raises NoSuchEntity, what `change` raises."""
        row_key = records.access_key_key(access_key_id)

        async def plan() -> Plan[None]:
            key, row = await self._load_key(access_key_id, user_id)
            return Plan(None, [Put(row_key, encode(change(key)))], [Unchanged(row_key, row)])

        await self._commit(plan)

    async def delete_key(self, access_key_id: str, user_id: str = "") -> None:
        """Delete a key, of this user if one is named; the next request with it is refused.

        Raises NoSuchEntity.
        """
        row_key = records.access_key_key(access_key_id)

        async def plan() -> Plan[None]:
            key, row = await self._load_key(access_key_id, user_id)
            gone: list[Write] = [Delete(each) for each in _rows_of_key(key.user, access_key_id)]
            return Plan(None, gone, [Unchanged(row_key, row)])

        await self._commit(plan)

    async def _load_key(self, access_key_id: str, user_id: str) -> tuple[AccessKeyRecord, bytes]:
        row = None
        if len(access_key_id) <= _MAX_KEY_ID_CHARACTERS:
            row = await self._meta.get(records.access_key_key(access_key_id))
        key = None if row is None else decode(AccessKeyRecord, row)
        if row is None or key is None or user_id not in ("", key.user):
            raise NoSuchEntity(f"The Access Key with id {access_key_id} cannot be found.")
        return key, row

    async def _key_ids(self, user: UserRecord) -> list[str]:
        table = records.key_of_key(user.id, "")
        return [key[len(table) :].decode() for key, _ in await self._all(table)]

    async def _all(self, table: bytes) -> list[tuple[bytes, bytes]]:
        pages = pages_of(self._meta, table, after_prefix(table))
        return [row async for page in pages for row in page]


def _key(user: UserRecord) -> bytes:
    return records.user_key(user.id)


def _rows_of_key(user_id: str, key_id: str) -> tuple[bytes, ...]:
    return (
        records.access_key_key(key_id),
        records.key_of_key(user_id, key_id),
        rows.last_used_key(key_id),
    )


def _exactly(user: UserRecord, key_ids: list[str]) -> list[Check]:
    """Return the checks that hold where the user has these keys, in order, and no other."""
    table = records.key_of_key(user.id, "")
    rows = [records.key_of_key(user.id, key_id) for key_id in key_ids]
    starts = [table, *(row + b"\0" for row in rows)]
    return [
        *(Unchanged(row, b"") for row in rows),
        *(Empty(*gap) for gap in zip(starts, [*rows, after_prefix(table)], strict=True)),
    ]


def _check_name(name: str) -> None:
    legal = name and all(c.isascii() and (c.isalnum() or c in "+=,.@_-") for c in name)
    if not legal or len(name) > _MAX_NAME_CHARACTERS:
        raise InvalidArgument(
            "A user name has 1 to 64 characters of A-Z, a-z, 0-9 and +=,.@_- (as in IAM).",
            ArgumentName="UserName",
            ArgumentValue=name[:_MAX_NAME_CHARACTERS],
        )


def _check_key_id(access_key_id: str) -> None:
    """Refuse what the Authorization header of a signature could not carry."""
    legal = all(33 <= ord(c) <= 126 and c not in ",/" for c in access_key_id)
    if not legal or not 1 <= len(access_key_id) <= _MAX_KEY_ID_CHARACTERS:
        raise InvalidArgument(
            "An access key id has 1 to 128 visible characters of ASCII, without comma and slash.",
            ArgumentName="AccessKeyId",
            ArgumentValue=access_key_id[:_MAX_KEY_ID_CHARACTERS],
        )
