"""Access keys: from an id to a secret and the principal behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from s3server.auth.secrets import SecretBox
from s3server.model import Bindings, Pairs, Principal


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves a principal."""

    access_key_id: str
    secret: str
    principal: Principal

    def __repr__(self) -> str:
        return f"Credential({self.access_key_id!r})"  # the secret stays out of logs


class StoredKey(Protocol):
    """What is read of a stored access key (core.records.AccessKeyRecord)."""

    @property
    def id(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def sealed_secret(self) -> bytes: ...
    @property
    def is_active(self) -> bool: ...
    @property
    def expires_ms(self) -> int: ...
    @property
    def scope(self) -> tuple[str, ...]: ...


class StoredUser(Protocol):
    """What is read of a stored user (core.records.UserRecord)."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def is_suspended(self) -> bool: ...
    @property
    def path(self) -> str: ...
    @property
    def bindings(self) -> Bindings: ...
    @property
    def tags(self) -> Pairs: ...


ReadKey = Callable[[str], Awaitable[tuple[StoredKey, StoredUser] | None]]


class CredentialStore:
    """Finds credentials: root's first, then the stored keys, read anew for every request.

    Nothing is cached but the unsealing of a sealed secret: a key that was deleted, suspended
    or sealed anew counts at once, on every worker.
    """

    def __init__(
        self,
        read_key: ReadKey,
        box: SecretBox,
        *,
        root: Credential | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._read_key = read_key
        self._unseal = lru_cache(maxsize=4096)(box.open)
        self._root = root
        self._now_ms = now_ms

    async def lookup(self, access_key_id: str) -> Credential | None:
        """Return the credential; None where it is unknown, inactive, expired or suspended.

        Raises SecretError where the stored secret was sealed with another master key.
        """
        if self._root is not None and access_key_id == self._root.access_key_id:
            return self._root
        found = await self._read_key(access_key_id)
        if found is None:
            return None
        key, user = found
        is_expired = 0 < key.expires_ms <= self._now_ms()
        if not key.is_active or user.is_suspended or is_expired or key.user != user.id:
            return None
        return Credential(
            access_key_id,
            self._unseal(key.sealed_secret, access_key_id),
            Principal(
                "user",
                user.id,
                user.name,
                user.account,
                access_key_id,
                path=user.path,
                bindings=user.bindings,
                tags=user.tags,
                session_policies=key.scope,
            ),
        )
