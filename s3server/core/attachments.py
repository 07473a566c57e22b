"""Policies of users, roles and groups: their own, those attached to them, and their boundary.

Once it had a policy, an identity is bound for good: nothing is allowed to it but by policies, and
taking the last one away never gives it back what it could do before it had any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from s3server.core import identity_records as rows
from s3server.core.directory import Change, Directory, H, Kind
from s3server.core.managed_policies import ManagedPolicies, size_of, use_key
from s3server.core.records import IdentityRecord, PolicyRecord, decode, encode
from s3server.errors import NoSuchEntity
from s3server.iam_errors import LimitExceeded
from s3server.meta.base import Delete, Put, Write
from s3server.model import Bindings

# "IAM and AWS STS quotas", AWS IAM user guide: characters of all policies together, without space.
MAX_INLINE_CHARACTERS = {"user": 2_048, "role": 10_240, "group": 5_120}
MAX_ATTACHED = 20  # the highest that AWS grants on request


class Attachments:
    """Which policies identities have."""

    def __init__(self, directory: Directory, policies: ManagedPolicies) -> None:
        self._directory, self._policies = directory, policies

    async def put_inline(
        self, kind: Kind[H], account: str, name: str, policy: str, text: str
    ) -> None:
        """Give an identity a policy of its own, or replace it. Raises LimitExceeded."""

        async def make(old: H) -> Change[H]:
            held = dict(old.bindings.inline)
            others = [one for one in held if one != policy]
            sizes = [size_of(each) for each in await self._texts(old.id, others)]
            most = MAX_INLINE_CHARACTERS[kind.noun]
            if size_of(text) + sum(sizes) > most:
                raise LimitExceeded(
                    f"Maximum policy size of {most} bytes exceeded for {kind.noun} {old.name}"
                )
            held[policy] = rows.digest_of(text)
            put = Put(rows.inline_policy_key(old.id, policy), encode(PolicyRecord(text=text)))
            return Change(_bound(old, inline=tuple(sorted(held.items()))), [put])

        await self._directory.change(kind, account, name, make)

    async def inline(self, kind: Kind[H], account: str, name: str, policy: str) -> str:
        """Return a policy of an identity's own. Raises NoSuchEntity."""
        holder = await self._directory.get(kind, account, name)
        row = await self._directory.meta.get(rows.inline_policy_key(holder.id, policy))
        if row is None:
            raise _no_inline(kind, policy)
        return decode(PolicyRecord, row).text

    async def all_inline(self, holder: IdentityRecord) -> list[tuple[str, str]]:
        """Return names and texts of all policies of an identity's own."""
        names = [name for name, _ in holder.bindings.inline]
        return list(zip(names, await self._texts(holder.id, names), strict=False))

    async def delete_inline(self, kind: Kind[H], account: str, name: str, policy: str) -> None:
        """Take a policy of its own from an identity. Raises NoSuchEntity."""

        async def make(old: H) -> Change[H]:
            left = tuple(one for one in old.bindings.inline if one[0] != policy)
            if left == old.bindings.inline:
                raise _no_inline(kind, policy)
            return Change(
                _bound(old, inline=left), [Delete(rows.inline_policy_key(old.id, policy))]
            )

        await self._directory.change(kind, account, name, make)

    async def attach(self, kind: Kind[H], account: str, name: str, arn: str) -> None:
        """Attach a managed policy; it may be attached already.

        Raises NoSuchEntity, LimitExceeded, InvalidInput.
        """

        async def make(old: H) -> Change[H]:
            held = old.bindings.managed
            if arn in held:
                return Change(old)
            if len(held) >= MAX_ATTACHED:
                quota = f"PoliciesPer{kind.noun.capitalize()}"
                raise LimitExceeded(f"Cannot exceed quota for {quota}: {MAX_ATTACHED}")
            writes, checks = await self._policies.hold(account, arn, kind.noun, old.id)
            return Change(_bound(old, managed=(*held, arn)), writes, checks)

        await self._directory.change(kind, account, name, make)

    async def detach(self, kind: Kind[H], account: str, name: str, arn: str) -> None:
        """Detach a managed policy. Raises NoSuchEntity."""

        async def make(old: H) -> Change[H]:
            if arn not in old.bindings.managed:
                raise NoSuchEntity(f"Policy {arn} was not found.")
            left = tuple(one for one in old.bindings.managed if one != arn)
            gone = Delete(use_key(account, arn, kind.noun, old.id))
            return Change(_bound(old, managed=left), [gone])

        await self._directory.change(kind, account, name, make)

    async def put_boundary(self, kind: Kind[H], account: str, name: str, arn: str) -> None:
        """Let a managed policy limit an identity. Raises NoSuchEntity, InvalidInput."""

        async def make(old: H) -> Change[H]:
            writes, checks = await self._policies.hold(
                account, arn, f"{kind.noun}-boundary", old.id
            )
            if old.bindings.boundary == arn:
                return Change(old)
            return Change(_bound(old, boundary=arn), [*_boundary_rows(kind, old), *writes], checks)

        await self._directory.change(kind, account, name, make)

    async def delete_boundary(self, kind: Kind[H], account: str, name: str) -> None:
        """Take the boundary from an identity. Raises NoSuchEntity where it has none."""

        async def make(old: H) -> Change[H]:
            if not old.bindings.boundary:
                raise NoSuchEntity(f"{kind.noun.capitalize()} {name} has no permissions boundary.")
            return Change(_bound(old, boundary=""), _boundary_rows(kind, old))

        await self._directory.change(kind, account, name, make)

    async def _texts(self, holder_id: str, names: Sequence[str]) -> list[str]:
        keys = [rows.inline_policy_key(holder_id, name) for name in names]
        found = await self._directory.meta.get_many(keys)
        return [decode(PolicyRecord, row).text for row in found if row is not None]


def rows_of(kind: Kind[H], holder: H) -> list[Write]:
    """Return what removes everything that is written about an identity's policies and groups."""
    held, account = holder.bindings, holder.account
    return [
        *(Delete(rows.inline_policy_key(holder.id, name)) for name, _ in held.inline),
        *(Delete(use_key(account, arn, kind.noun, holder.id)) for arn in held.managed),
        *(Delete(rows.member_key(group, holder.id)) for group in held.groups),
        *_boundary_rows(kind, holder),
    ]


def _boundary_rows(kind: Kind[H], holder: H) -> list[Write]:
    arn = holder.bindings.boundary
    if not arn:
        return []
    return [Delete(use_key(holder.account, arn, f"{kind.noun}-boundary", holder.id))]


def _bound(holder: H, **changes: Any) -> H:
    bindings: Bindings = replace(holder.bindings, is_bound=True, **changes)
    return replace(holder, bindings=bindings)


def _no_inline(kind: Kind[H], policy: str) -> NoSuchEntity:
    return NoSuchEntity(f"The {kind.noun} policy with name {policy} cannot be found.")
