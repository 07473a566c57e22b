"""What holds between a principal and a bucket, remembered by the rows that it follows from.

Those rows (the project, its public access block, groups and managed policies) are read in every
request, all at once; only where one of them has changed is anything made again. So nothing that is
remembered can be stale.
"""

from __future__ import annotations

import itertools

import msgspec

from s3server.auth.bucket_policy import is_public, parse_bucket_policy
from s3server.auth.clearance import Clearance, Situation, clear
from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Requester
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.request_keys import ConnectionKeys, requester_of
from s3server.core.project_records import ProjectRecord, project_key
from s3server.core.records import BucketRecord, account_block_key
from s3server.core.services import Services
from s3server.identities import Identities
from s3server.meta.base import Get
from s3server.model import NOTHING_BLOCKED, HttpRequest, Principal, PublicAccessBlock

_CACHED = 4_096  # policies, standings, and clearances


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
    who: Requester
    place: str  # ARN of the bucket and "/"

    def is_as_before(self, get: Get, _: Get) -> bool:
        """Return whether the rows that it follows from are what they were."""
        return [*map(get, self.keys)] == self.rows


class Laws:
    """Finds the laws of buckets, and standings."""

    def __init__(self, services: Services, identities: Identities) -> None:
        self._access, self._projects = services.access, services.projects
        self._identities = identities
        self._laws: dict[tuple[bytes, bytes], Law] = {}
        self._standings: dict[tuple[object, ...], Standing] = {}
        self._numbers = itertools.count()
        # By a standing's number, action and connection; None where this was met only once.
        self._clearances: dict[tuple[int, str, str, str], Clearance | None] = {}

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
        if known is None or not self._identities.meta.look(known.is_as_before):
            known, lasts = await self._make(principal, bucket)
            if lasts:
                if len(self._standings) >= _CACHED:
                    self._standings.clear()
                self._standings[about] = known
        return known

    def clears(self, standing: Standing, action: str, key: str, http: HttpRequest) -> bool:
        """Return whether an object is surely permitted; if not, nothing follows from it.

        What a standing clears is found out when it is asked a second time: that costs more than a
        single decision.
        """
        about = standing.number, action, http.client, http.scheme
        clearance = self._clearances.get(about)
        if clearance is None:
            if about not in self._clearances:
                if len(self._clearances) >= _CACHED:
                    self._clearances.clear()
                self._clearances[about] = None
                return False
            case = Situation(standing.who, action, standing.place, ConnectionKeys(http))
            clearance = clear(standing.own, standing.law.policy, case)
            self._clearances[about] = clearance
        return clearance.permits(standing.place + key)

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
            requester_of(principal),
            f"arn:aws:s3:::{bucket.name}/",
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
        digest, stored = found
        policy = parse_bucket_policy(stored.text, bucket.name, stored.principals)
        law = Law(PolicyIndex([policy]), is_public(policy))
        if len(self._laws) >= _CACHED:
            self._laws.clear()
        self._laws[bucket.id, digest] = law
        return law
