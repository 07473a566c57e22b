"""Which policies bind a principal: the one place where that is found out.

Attachments are read in every request, from the store. What was made of them is kept by their bytes,
and parsed policies by their digests, so that nothing that is remembered can be stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from s3server.arns import iam_arn
from s3server.auth.own_law import NOTHING_ALLOWED, OwnLaw
from s3server.auth.policy import Policy
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.policy_parse import parse_policy
from s3server.core import identity_records as rows
from s3server.core import records
from s3server.core.aws_policies import AWS_POLICIES
from s3server.core.identity_records import GroupRecord, ManagedPolicyRecord, RoleRecord
from s3server.core.records import PolicyRecord, Remembering, UserRecord, decode
from s3server.meta.base import CorruptRecordError, InlineStore
from s3server.model import Bindings, Principal

_CACHED = 4_096  # policies, and laws
_ATTEMPTS = 10  # each but the last met a change that was made meanwhile

# Where a policy comes from: a text, the digest of an inline one, or that of a version of a managed
# one with account, name and number. The same source is the same policy for ever.
_Source = str | bytes | tuple[bytes, str, str, int]
# Whether it is bound, what allows, what limits: what two principals share has one law.
_Sources = tuple[bool, tuple[_Source, ...], tuple[_Source, ...]]
# What a law is made of, beside the rows that this refers to: id, bindings, session policies.
_Bound = tuple[str, Bindings, tuple[str, ...]]


class _Changed(Exception):
    """What an identity refers to has gone since the identity was read."""


class Made(NamedTuple):
    """The law of one principal, and the rows of groups and managed policies that it follows from.

    As long as those rows are what they were, so is the law: texts are named by their digests. It
    does not last where it is of other bindings than those that the principal came with.
    """

    keys: list[bytes]
    rows: list[bytes | None]
    law: OwnLaw | None
    lasts: bool = True


_LAWLESS = Made([], [], None)


class Identities:
    """Finds the law of a principal."""

    def __init__(self, meta: InlineStore) -> None:
        self.meta = meta
        self._decode_group = Remembering(GroupRecord)
        self._decode_policy = Remembering(ManagedPolicyRecord)
        self._parsed: dict[_Source, Policy] = {}
        self._laws: dict[_Sources, OwnLaw] = {}
        self._made: dict[_Bound, Made] = {}

    async def law_of(self, principal: Principal) -> OwnLaw | None:
        """Return what binds a principal; None where nothing does, as for root.

        Raises CorruptRecordError where that cannot be told: what is not known is not taken for
        leave.
        """
        return (await self.made_for(principal)).law

    async def made_for(self, principal: Principal) -> Made:
        """Return that with the rows that it follows from."""
        if principal.is_root or principal.is_free:
            return _LAWLESS
        bindings: Bindings | None = principal.bindings
        for _ in range(_ATTEMPTS):
            if bindings is None:  # deleted since the request was authenticated
                return Made([], [], NOTHING_ALLOWED, lasts=False)
            try:
                made = await self._read(principal, bindings)
            except _Changed:
                bindings = await self._bindings_now(principal)
                continue
            return made if bindings is principal.bindings else made._replace(lasts=False)
        raise CorruptRecordError(f"policies of {principal.kind} {principal.id} are not there")

    async def text_of(self, arn: str, account: str) -> str | None:
        """Return the text that counts of a managed policy of a project, or of AWS's; or None."""
        if arn in AWS_POLICIES:
            return AWS_POLICIES[arn].text
        if not arn.startswith(f"arn:aws:iam::{account}:policy/"):
            return None
        row = await self.meta.get(rows.managed_policy_key(*_named(arn)))
        if row is None:
            return None
        policy = decode(ManagedPolicyRecord, row)
        if arn != iam_arn(account, "policy", policy.path, policy.name):
            return None
        key = rows.policy_version_key(account, policy.name, policy.default)
        found = await self.meta.get(key)
        return None if found is None else decode(PolicyRecord, found).text

    async def _read(self, principal: Principal, bindings: Bindings) -> Made:
        bound = principal.id, bindings, principal.session_policies
        made = self._made.get(bound)
        if made is None or await self.meta.get_many(made.keys) != made.rows:
            made = await self._assemble(principal, bindings)
            if len(self._made) >= _CACHED:
                self._made.clear()
            self._made[bound] = made
        return made

    async def _assemble(self, principal: Principal, bindings: Bindings) -> Made:
        """Return the law that follows from the rows as they are."""
        holders = [(principal.id, bindings)]
        group_keys = [rows.group_key(group) for group in bindings.groups]
        group_rows = await self.meta.get_many(group_keys)
        for row in group_rows:
            group = self._decode_group(_present(row))
            holders.append((group.id, group.bindings))
        inline = {
            digest: (holder, name) for holder, held in holders for name, digest in held.inline
        }
        boundary = [bindings.boundary] if bindings.boundary else []
        arns = [*boundary, *(arn for _, held in holders for arn in held.managed)]
        own = [arn for arn in arns if arn not in AWS_POLICIES]
        own_keys = [rows.managed_policy_key(*_named(arn)) for arn in own]
        own_rows = await self.meta.get_many(own_keys)
        versions = {
            arn: _default(self._decode_policy(_present(row)))
            for arn, row in zip(own, own_rows, strict=True)
        }
        managed = [versions[arn] if arn in versions else AWS_POLICIES[arn].text for arn in arns]
        sources = (
            any(held.is_bound for _, held in holders),
            (*inline, *managed[len(boundary) :]),
            (*managed[: len(boundary)], *principal.session_policies),
        )
        law = self._laws.get(sources) or await self._make(sources, inline)
        return Made([*group_keys, *own_keys], [*group_rows, *own_rows], law)

    async def _make(self, sources: _Sources, inline: Mapping[bytes, tuple[str, str]]) -> OwnLaw:
        """Return the law of these sources, read and parsed as far as it is not known."""
        is_bound, allowing, limiting = sources
        law = OwnLaw(
            is_bound,
            PolicyIndex([await self._policy(source, inline) for source in allowing]),
            tuple([PolicyIndex([await self._policy(source, inline)]) for source in limiting]),
        )
        if len(self._laws) >= _CACHED:
            self._laws.clear()
        self._laws[sources] = law
        return law

    async def _policy(self, source: _Source, inline: Mapping[bytes, tuple[str, str]]) -> Policy:
        known = self._parsed.get(source)
        if known is not None:
            return known
        if isinstance(source, str):
            text = source
        elif isinstance(source, tuple):
            text = await self._text(rows.policy_version_key(*source[1:]), source[0])
        else:
            text = await self._text(rows.inline_policy_key(*inline[source]), source)
        if len(self._parsed) >= _CACHED:
            self._parsed.clear()
        known = self._parsed[source] = parse_policy(text, has_principals=False)
        return known

    async def _text(self, key: bytes, digest: bytes) -> str:
        text = decode(PolicyRecord, _present(await self.meta.get(key))).text
        if rows.digest_of(text) != digest:  # replaced since its name was read
            raise _Changed
        return text

    async def _bindings_now(self, principal: Principal) -> Bindings | None:
        """Return the bindings of the user or role as they are; None where it is gone."""
        if principal.role:
            row = await self.meta.get(rows.role_key(principal.id))
            return None if row is None else decode(RoleRecord, row).bindings
        row = await self.meta.get(records.user_key(principal.id))
        return None if row is None else decode(UserRecord, row).bindings


def _default(policy: ManagedPolicyRecord) -> _Source:
    (digest,) = (one.digest for one in policy.versions if one.number == policy.default)
    return digest, policy.account, policy.name, policy.default


def _present(row: bytes | None) -> bytes:
    if row is None:
        raise _Changed
    return row


def _named(arn: str) -> tuple[str, str]:
    """Return account and name of a managed policy by its ARN, which was checked when it came."""
    account, path = arn.split(":", 5)[4:]
    return account, path.rpartition("/")[2]
