"""Managed policies: documents with versions, which users, roles and groups can share."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from s3server.arns import iam_arn
from s3server.core import identity_records as rows
from s3server.core.aws_policies import AWS_POLICIES, AwsPolicy
from s3server.core.clock import Clock, Ids
from s3server.core.commit import Commits, Plan
from s3server.core.directory import GROUPS, ROLES, USERS, Directory, Kind
from s3server.core.identity_records import ManagedPolicyRecord, PolicyVersion
from s3server.core.identity_tags import merge_tags, without_tags
from s3server.core.projects import check_project
from s3server.core.records import IdentityRecord, PolicyRecord, decode, encode
from s3server.errors import AccessDenied, EntityAlreadyExists, NoSuchEntity
from s3server.iam_errors import DeleteConflict, InvalidInput, LimitExceeded
from s3server.meta.base import Check, Delete, Empty, Put, Unchanged, Write, after_prefix, pages_of
from s3server.model import Pairs

AWS = "aws"  # account of those that nobody can change
MAX_VERSIONS = 5
MAX_CHARACTERS = 6_144
_ARN = re.compile(r"arn:aws:iam::([^:/]{1,64}):policy(/(?:[^/]+/)*)([^/]{1,128})").fullmatch
_KINDS: dict[str, Kind[Any]] = {kind.noun: kind for kind in (USERS, ROLES, GROUPS)}


@dataclass(frozen=True, slots=True)
class Use:
    """Somebody who has a policy."""

    holder: IdentityRecord
    noun: str  # "user", "role", "group"
    is_boundary: bool


def arn_of(policy: ManagedPolicyRecord) -> str:
    """Return the ARN of a managed policy."""
    return iam_arn(policy.account, "policy", policy.path, policy.name)


def size_of(text: str) -> int:
    """Return how many characters of a document count: white space does not."""
    return len("".join(text.split()))


class ManagedPolicies:
    """Managed policies of one store. Names ignore case within an account."""

    def __init__(self, directory: Directory, *, clock: Clock, ids: Ids) -> None:
        self._directory, self._clock, self._ids = directory, clock, ids
        self._meta = directory.meta
        self._commit = Commits(directory.meta)

    async def create(
        self, account: str, name: str, text: str, *, path: str, description: str, tags: Pairs
    ) -> ManagedPolicyRecord:
        """Create a policy with its first version. Raises EntityAlreadyExists, LimitExceeded."""
        _check_size(text)
        now = self._clock.now_ms()
        policy = ManagedPolicyRecord(
            id=self._ids.canonical_user_id(),
            name=name,
            account=account,
            created_ms=now,
            updated_ms=now,
            versions=(PolicyVersion(1, rows.digest_of(text), now),),
            default=1,
            latest=1,
            path=path,
            description=description,
            tags=merge_tags((), tags),
        )
        key = rows.managed_policy_key(account, name)

        async def plan() -> Plan[ManagedPolicyRecord]:
            if await self._meta.get(key) is not None:
                raise EntityAlreadyExists(
                    f"A policy called {name} already exists. Duplicate names are not allowed."
                )
            return Plan(
                policy,
                [Put(key, encode(policy)), _put_text(policy, 1, text)],
                [Unchanged(key, None), await check_project(self._meta, account)],
            )

        return await self._commit(plan)

    async def get(self, account: str, arn: str) -> ManagedPolicyRecord:
        """Return a policy of an account, or of AWS. Raises NoSuchEntity."""
        return (await self.load(account, arn))[0]

    async def load(self, account: str, arn: str) -> tuple[ManagedPolicyRecord, bytes | None]:
        """Return a policy and its row; None for one of AWS's. Raises NoSuchEntity."""
        if arn in AWS_POLICIES:
            return _of_aws(AWS_POLICIES[arn]), None
        found = _ARN(arn)
        if found is None:
            raise InvalidInput(f"ARN {arn} is not valid.")
        row = None
        if found[1] == account:
            row = await self._meta.get(rows.managed_policy_key(account, found[3]))
        policy = None if row is None else decode(ManagedPolicyRecord, row)
        if policy is None or arn_of(policy) != arn:
            raise NoSuchEntity(f"Policy {arn} was not found.")
        return policy, row

    async def text(self, policy: ManagedPolicyRecord, number: int) -> str:
        """Return the document of a version. Raises NoSuchEntity."""
        if policy.account == AWS:
            return AWS_POLICIES[arn_of(policy)].text
        key = rows.policy_version_key(policy.account, policy.name, number)
        row = await self._meta.get(key)
        if row is None:
            raise _no_version(policy, number)
        return decode(PolicyRecord, row).text

    async def all_of(self, account: str) -> AsyncIterator[ManagedPolicyRecord]:
        """Yield the policies of an account, by name, or those of AWS."""
        if account == AWS:
            for policy in AWS_POLICIES.values():
                yield _of_aws(policy)
            return
        table = rows.managed_policy_key(account, "")
        async for page in pages_of(self._meta, table, after_prefix(table)):
            for _, row in page:
                yield decode(ManagedPolicyRecord, row)

    async def delete(self, account: str, arn: str) -> None:
        """Delete a policy. Raises DeleteConflict while it is used or has further versions."""

        async def plan() -> Plan[None]:
            policy, row = await self._load_own(account, arn)
            if len(policy.versions) > 1:
                raise DeleteConflict(
                    "This policy has more than one version. Before you delete a policy, you must "
                    "delete the policy's versions. The default version is deleted with the policy."
                )
            uses = rows.attached_key(account, policy.name)
            if await self._meta.scan(uses, after_prefix(uses), limit=1):
                raise DeleteConflict("Cannot delete a policy attached to entities.")
            key = rows.managed_policy_key(account, policy.name)
            text = rows.policy_version_key(account, policy.name, policy.default)
            return Plan(
                None,
                [Delete(key), Delete(text)],
                [Unchanged(key, row), Empty(uses, after_prefix(uses))],
            )

        await self._commit(plan)

    async def create_version(
        self, account: str, arn: str, text: str, *, is_default: bool
    ) -> PolicyVersion:
        """Add a version. Raises LimitExceeded where there are five."""
        _check_size(text)
        now = self._clock.now_ms()

        async def make(old: ManagedPolicyRecord) -> tuple[ManagedPolicyRecord, list[Write]]:
            if len(old.versions) >= MAX_VERSIONS:
                raise LimitExceeded(
                    f"A managed policy can have up to {MAX_VERSIONS} versions. Before you create "
                    "a new version, you must delete an existing version."
                )
            version = PolicyVersion(old.latest + 1, rows.digest_of(text), now)
            new = replace(
                old,
                versions=(*old.versions, version),
                latest=version.number,
                default=version.number if is_default else old.default,
                updated_ms=now,
            )
            return new, [_put_text(old, version.number, text)]

        return (await self._change(account, arn, make)).versions[-1]

    async def delete_version(self, account: str, arn: str, number: int) -> None:
        """Delete a version. Raises DeleteConflict for the default one, NoSuchEntity."""

        async def make(old: ManagedPolicyRecord) -> tuple[ManagedPolicyRecord, list[Write]]:
            _version(old, number)
            if number == old.default:
                raise DeleteConflict("Cannot delete the default version of a policy.")
            left = tuple(one for one in old.versions if one.number != number)
            key = rows.policy_version_key(account, old.name, number)
            return replace(old, versions=left), [Delete(key)]

        await self._change(account, arn, make)

    async def set_default(self, account: str, arn: str, number: int) -> None:
        """Make a version the one that counts. Raises NoSuchEntity."""
        now = self._clock.now_ms()

        async def make(old: ManagedPolicyRecord) -> tuple[ManagedPolicyRecord, list[Write]]:
            _version(old, number)
            return replace(old, default=number, updated_ms=now), []

        await self._change(account, arn, make)

    async def tag(self, account: str, arn: str, tags: Pairs) -> None:
        """Add tags, or give those that are there new values."""

        async def make(old: ManagedPolicyRecord) -> tuple[ManagedPolicyRecord, list[Write]]:
            return replace(old, tags=merge_tags(old.tags, tags)), []

        await self._change(account, arn, make)

    async def untag(self, account: str, arn: str, names: list[str]) -> None:
        """Remove tags; those that are not there are no error."""

        async def make(old: ManagedPolicyRecord) -> tuple[ManagedPolicyRecord, list[Write]]:
            return replace(old, tags=without_tags(old.tags, names)), []

        await self._change(account, arn, make)

    async def hold(
        self, account: str, arn: str, use: str, holder_id: str
    ) -> tuple[list[Write], list[Check]]:
        """Return what is to be written, and must hold, for somebody to have a policy.

        `use` as in `attached_key`. Raises NoSuchEntity, InvalidInput.
        """
        policy, row = await self.load(account, arn)
        checks: list[Check] = []
        if row is not None:
            checks.append(Unchanged(rows.managed_policy_key(account, policy.name), row))
        return [Put(use_key(account, arn, use, holder_id), b"")], checks

    async def uses(self, account: str, policy: ManagedPolicyRecord) -> list[Use]:
        """Return who has a policy in an account, in the order of kinds and ids."""
        table = use_key(account, arn_of(policy))
        found: list[Use] = []
        async for page in pages_of(self._meta, table, after_prefix(table)):
            for key, _ in page:
                use, _, holder_id = key[len(table) :].decode().partition("\0")
                noun, _, boundary = use.partition("-")
                holder = await self._directory.find_by_id(_KINDS[noun], holder_id)
                if holder is not None:
                    found.append(Use(holder, noun, boundary != ""))
        return found

    async def count_uses(self, account: str, policy: ManagedPolicyRecord) -> tuple[int, int]:
        """Return how often a policy is attached in an account, and how often it is a boundary."""
        uses = await self.uses(account, policy)
        boundaries = sum(use.is_boundary for use in uses)
        return len(uses) - boundaries, boundaries

    async def _load_own(self, account: str, arn: str) -> tuple[ManagedPolicyRecord, bytes]:
        policy, row = await self.load(account, arn)
        if row is None:
            raise AccessDenied(f"{arn} is managed by the server and cannot be changed.")
        return policy, row

    async def _change(
        self,
        account: str,
        arn: str,
        make: Callable[[ManagedPolicyRecord], Awaitable[tuple[ManagedPolicyRecord, list[Write]]]],
    ) -> ManagedPolicyRecord:
        async def plan() -> Plan[ManagedPolicyRecord]:
            old, row = await self._load_own(account, arn)
            new, writes = await make(old)
            key = rows.managed_policy_key(account, old.name)
            return Plan(new, [Put(key, encode(new)), *writes], [Unchanged(key, row)])

        return await self._commit(plan)


def use_key(account: str, arn: str, use: str = "", holder_id: str = "") -> bytes:
    """Return where it is written that somebody in an account has a policy; see attached_key()."""
    owner, path = arn.split(":", 5)[4:]
    # Policies of AWS belong to nobody, so that their uses are kept apart by account.
    return rows.attached_key(
        account if owner == account else f"{owner} {account}",
        path.rpartition("/")[2],
        use,
        holder_id,
    )


def _check_size(text: str) -> None:
    if size_of(text) > MAX_CHARACTERS:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {MAX_CHARACTERS}")


def _put_text(policy: ManagedPolicyRecord, number: int, text: str) -> Put:
    key = rows.policy_version_key(policy.account, policy.name, number)
    return Put(key, encode(PolicyRecord(text=text)))


def _version(policy: ManagedPolicyRecord, number: int) -> PolicyVersion:
    for version in policy.versions:
        if version.number == number:
            return version
    raise _no_version(policy, number)


def _no_version(policy: ManagedPolicyRecord, number: int) -> NoSuchEntity:
    return NoSuchEntity(f"Policy {arn_of(policy)} version v{number} does not exist.")


def _of_aws(policy: AwsPolicy) -> ManagedPolicyRecord:
    return ManagedPolicyRecord(
        id=policy.id,
        name=policy.name,
        account=AWS,
        created_ms=0,
        updated_ms=0,
        versions=(PolicyVersion(1, rows.digest_of(policy.text), 0),),
        default=1,
        latest=1,
        description=policy.description,
    )
