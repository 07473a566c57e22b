"""What holds between a principal and a bucket, remembered by the rows that it follows from.

Those rows (the project, its public access block, groups and managed policies) are read in every
request, all at once; only where one of them has changed is anything made again. So nothing that is
remembered can be stale.
"""

from __future__ import annotations

import itertools

import msgspec

from s3server.auth.authorise import Said
from s3server.auth.bucket_policy import is_public, parse_bucket_policy
from s3server.auth.own_law import OwnLaw
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.request_keys import OF_CONNECTION
from s3server.core.project_records import ProjectRecord, project_key
from s3server.core.records import BucketRecord, account_block_key
from s3server.core.services import Services
from s3server.identities import Identities
from s3server.model import NOTHING_BLOCKED, Principal, PublicAccessBlock

_CACHED = 4_096  # policies, and standings
MOST_SAID = 16_384  # answers that are remembered


class Law(msgspec.Struct, frozen=True):
    """What holds in a bucket beside its ACL."""

    policy: PolicyIndex | None = None
    is_public: bool = False  # whether the policy is
    block: PublicAccessBlock = NOTHING_BLOCKED


LAWLESS = Law()


class Standing(msgspec.Struct, frozen=True):
    """What binds a principal in a bucket of its own project."""

    number: int  # never used again
    keys: list[bytes]
    rows: list[bytes | None]
    project: ProjectRecord
    own: OwnLaw | None
    law: Law

    def lasts(self, action: str) -> bool:
        """Return whether nothing but the connection has a say in what policies tell of a key."""
        policy, own = self.law.policy, self.own
        if policy is not None and not policy.asks_only_for(action, OF_CONNECTION):
            return False
        return own is None or own.asks_only_for(action, OF_CONNECTION)


class Laws:
    """Finds the laws of buckets, and standings."""

    def __init__(self, services: Services, identities: Identities) -> None:
        self._access, self._projects = services.access, services.projects
        self._identities = identities
        self._laws: dict[tuple[bytes, bytes], Law] = {}
        self._standings: dict[tuple[object, ...], Standing] = {}
        self._numbers = itertools.count()
        self.said: dict[tuple[object, ...], Said] = {}  # by a standing's number and what was asked

    async def of(self, principal: Principal, bucket: BucketRecord) -> Standing:
        """Return the standing of a principal, not root, in a bucket of its project.

        Raises AccountProblem where that is gone, and what `Identities.law_of` raises.
        """
        about = (
            principal.id, principal.name, principal.path, principal.role, principal.session_name,
            principal.bindings, principal.session_policies,
            bucket.id, bucket.account, bucket.policy, bucket.public_access_block,
        )  # fmt: skip
        known = self._standings.get(about)
        if known is None or await self._identities.meta.get_many(known.keys) != known.rows:
            known, lasts = await self._make(principal, bucket)
            if lasts:
                if len(self._standings) >= _CACHED:
                    self._standings.clear()
                self._standings[about] = known
        return known

    async def _make(self, principal: Principal, bucket: BucketRecord) -> tuple[Standing, bool]:
        """Return a standing, and whether it is that of these bindings and this policy."""
        keys = [project_key(bucket.account), account_block_key(bucket.account)]
        rows = await self._identities.meta.get_many(keys)
        made = await self._identities.made_for(principal)
        law = await self.law(bucket, rows[1])
        standing = Standing(
            next(self._numbers),
            [*keys, *made.keys],
            [*rows, *made.rows],
            self._projects.of_row(bucket.account, rows[0]),
            made.law,
            law,
        )
        is_read = not bucket.policy or (bucket.id, bucket.policy) in self._laws
        return standing, made.lasts and is_read

    async def law_of(self, bucket: BucketRecord) -> Law:
        """Return what holds in a bucket."""
        row = await self._identities.meta.get(account_block_key(bucket.account))
        return await self.law(bucket, row)

    async def law(self, bucket: BucketRecord, block_row: bytes | None) -> Law:
        """Return that, where the account's block is known already.

        Policies are parsed once, and known by their digests.
        """
        law = LAWLESS
        if bucket.policy:
            known = self._laws.get((bucket.id, bucket.policy))
            law = await self.read_policy(bucket) if known is None else known
        block = self._access.block_of(bucket, block_row)
        return law if block is NOTHING_BLOCKED else msgspec.structs.replace(law, block=block)

    async def read_policy(self, bucket: BucketRecord) -> Law:
        """Return what a bucket's policy says, read anew."""
        found = await self._access.policy(bucket)
        if found is None:  # removed since the bucket was read
            return LAWLESS
        digest, text = found
        policy = parse_bucket_policy(text, bucket.name)
        law = Law(PolicyIndex([policy]), is_public(policy))
        if len(self._laws) >= _CACHED:
            self._laws.clear()
        self._laws[bucket.id, digest] = law
        return law
