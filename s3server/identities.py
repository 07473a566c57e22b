"""Which policies bind a principal: the one place where that is found out.

Attachments are read in every request, from the store; parsed policies are kept by their digests.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3server.arns import iam_arn
from s3server.auth.own_law import NOTHING_ALLOWED, OwnLaw
from s3server.auth.policy import Policy
from s3server.auth.policy_parse import parse_policy
from s3server.core import identity_records as rows
from s3server.core import records
from s3server.core.aws_policies import AWS_POLICIES
from s3server.core.identity_records import GroupRecord, ManagedPolicyRecord, RoleRecord
from s3server.core.records import PolicyRecord, UserRecord, decode
from s3server.meta.base import CorruptRecordError, MetadataStore
from s3server.model import Bindings, Principal

_CACHED_POLICIES = 4_096
_ATTEMPTS = 10  # each but the last met a change that was made meanwhile


class _Changed(Exception):
    """What an identity refers to has gone since the identity was read."""


class Identities:
    """Finds the law of a principal."""

    def __init__(self, meta: MetadataStore) -> None:
        self._meta = meta
        self._parsed: dict[bytes | str, Policy] = {}

    async def law_of(self, principal: Principal) -> OwnLaw | None:
        """Return what binds a principal; None where nothing does, as for root.

        Raises CorruptRecordError where that cannot be told: what is not known is not taken for
        leave.
        """
        if principal.is_root or principal.is_free:
            return None
        bindings: Bindings | None = principal.bindings
        for _ in range(_ATTEMPTS):
            if bindings is None:  # deleted since the request was authenticated
                return NOTHING_ALLOWED
            try:
                return await self._read(principal, bindings)
            except _Changed:
                bindings = await self._bindings_now(principal)
        raise CorruptRecordError(f"policies of {principal.kind} {principal.id} are not there")

    async def text_of(self, arn: str, account: str) -> str | None:
        """Return the text that counts of a managed policy of a project, or of AWS's; or None."""
        if arn in AWS_POLICIES:
            return AWS_POLICIES[arn].text
        if not arn.startswith(f"arn:aws:iam::{account}:policy/"):
            return None
        row = await self._meta.get(rows.managed_policy_key(*_named(arn)))
        if row is None:
            return None
        policy = decode(ManagedPolicyRecord, row)
        if arn != iam_arn(account, "policy", policy.path, policy.name):
            return None
        key = rows.policy_version_key(account, policy.name, policy.default)
        found = await self._meta.get(key)
        return None if found is None else decode(PolicyRecord, found).text

    async def _read(self, principal: Principal, bindings: Bindings) -> OwnLaw:
        holders = [(principal.id, bindings)]
        for row in await self._meta.get_many([rows.group_key(group) for group in bindings.groups]):
            group = decode(GroupRecord, _present(row))
            holders.append((group.id, group.bindings))
        inline = [
            await self._inline(holder, name, digest)
            for holder, held in holders
            for name, digest in held.inline
        ]
        attached = [arn for _, held in holders for arn in held.managed]
        boundary = [bindings.boundary] if bindings.boundary else []
        managed = await self._managed([*boundary, *attached])
        scopes = [self._parse(text, text) for text in principal.session_policies]
        return OwnLaw(
            is_bound=any(held.is_bound for _, held in holders),
            policies=(*inline, *managed[len(boundary) :]),
            limits=(*managed[: len(boundary)], *scopes),
        )

    async def _inline(self, holder: str, name: str, digest: bytes) -> Policy:
        known = self._parsed.get(digest)
        if known is not None:
            return known
        row = await self._meta.get(rows.inline_policy_key(holder, name))
        text = decode(PolicyRecord, _present(row)).text
        return self._parse(rows.digest_of(text), text)  # the newest, where it was replaced since

    async def _managed(self, arns: Iterable[str]) -> list[Policy]:
        """Return the versions that count of managed policies."""
        own = [arn for arn in arns if arn not in AWS_POLICIES]
        found = dict(
            zip(
                own,
                await self._meta.get_many([rows.managed_policy_key(*_named(arn)) for arn in own]),
                strict=True,
            )
        )
        return [
            self._parse(arn, AWS_POLICIES[arn].text)
            if arn in AWS_POLICIES
            else await self._default(decode(ManagedPolicyRecord, _present(found[arn])))
            for arn in arns
        ]

    async def _default(self, policy: ManagedPolicyRecord) -> Policy:
        (digest,) = (one.digest for one in policy.versions if one.number == policy.default)
        known = self._parsed.get(digest)
        if known is not None:
            return known
        key = rows.policy_version_key(policy.account, policy.name, policy.default)
        text = decode(PolicyRecord, _present(await self._meta.get(key))).text
        return self._parse(rows.digest_of(text), text)

    def _parse(self, key: bytes | str, text: str) -> Policy:
        known = self._parsed.get(key)
        if known is None:
            known = parse_policy(text, has_principals=False)
            if len(self._parsed) >= _CACHED_POLICIES:
                self._parsed.clear()
            self._parsed[key] = known
        return known

    async def _bindings_now(self, principal: Principal) -> Bindings | None:
        """Return the bindings of the user or role as they are; None where it is gone."""
        if principal.role:
            row = await self._meta.get(rows.role_key(principal.id))
            return None if row is None else decode(RoleRecord, row).bindings
        row = await self._meta.get(records.user_key(principal.id))
        return None if row is None else decode(UserRecord, row).bindings


def _present(row: bytes | None) -> bytes:
    if row is None:
        raise _Changed
    return row


def _named(arn: str) -> tuple[str, str]:
    """Return account and name of a managed policy by its ARN, which was checked when it came."""
    account, path = arn.split(":", 5)[4:]
    return account, path.rpartition("/")[2]
