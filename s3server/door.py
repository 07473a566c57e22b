"""The door to every handler: what is read to decide whether a request may do something.

The decision itself is `auth.authorise`; here are the reads that it needs, and none that it does
not: whoever owns a bucket without a policy, or runs the store, passes without any.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from s3server.auth.actions import also_needed
from s3server.auth.authorise import Said, authorise, authorise_topic
from s3server.auth.bucket_policy import is_public, parse_bucket_policy
from s3server.auth.policy import Policy, Question, Verdict, evaluate
from s3server.auth.policy_parse import parse_policy
from s3server.auth.request_keys import RequestKeys, Seen, requester_of
from s3server.core.access import Access
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock
from s3server.core.objects import Objects
from s3server.core.records import BucketRecord, ObjectRecord, TopicRecord
from s3server.errors import AccessDenied, AuthorizationError
from s3server.model import NOTHING_BLOCKED, HttpRequest, Principal, PublicAccessBlock

_CACHED_POLICIES = 4_096
# Demanded of each key that the request names in its body, where a policy decides by keys.
_PER_KEY = frozenset({"s3:DeleteObject"})
# Which absence of a key or version is told to those only who could see it in a listing.
_READS = "s3:Get"


class Law(msgspec.Struct, frozen=True):
    """What holds in a bucket beside its ACL."""

    policy: Policy | None = None
    is_public: bool = False  # whether the policy is
    block: PublicAccessBlock = NOTHING_BLOCKED


LAWLESS = Law()


class Caller(msgspec.Struct):
    """Who sent a request, and all of it that a decision may ask about."""

    principal: Principal
    mechanism: str  # of its proof, as in `model.Identity`; "post" where that was in a form
    http: HttpRequest
    query: Mapping[str, str]
    from_body: Mapping[str, tuple[str, ...]] | None = None  # condition keys that a document holds
    laws: dict[bytes, Law] = {}  # of buckets that this request has been judged in, by their id


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants to do, and to what."""

    action: str
    bucket: BucketRecord
    key: str | None = None
    version: str | None = None  # version id that is asked for, None for the current one


class Door:
    """Decides for every request, and again for whatever else a handler is asked to do."""

    def __init__(self, buckets: Buckets, objects: Objects, access: Access, clock: Clock) -> None:
        self._buckets, self._objects, self._access = buckets, objects, access
        self._clock = clock
        self._parsed: dict[tuple[bytes, bytes], Law] = {}

    async def permit(
        self,
        caller: Caller,
        action: str,
        bucket: BucketRecord | None,
        key: str | None,
        version: str | None = None,
        *,
        creates: bool = False,
    ) -> None:
        """Raise AccessDenied unless the caller may do `action` to the bucket, or a key in it.

        `version` is the version id that is asked for, None for the current one. With `creates`
        the action is s3:PutObject, and all that is to be stored with the object by the headers of
        the request needs its permission too.
        """
        principal = caller.principal
        if bucket is None:
            if not authorise(principal, action):
                raise AccessDenied
            return
        if not bucket.policy and _is_host(principal, bucket) and action.startswith("s3:"):
            return
        if bucket.policy and key is None and action in _PER_KEY:
            return
        caller.laws[bucket.id] = await self._law(bucket)
        record = None if key is None else await self._objects.find(bucket, key, version)
        self.confirm(caller, Asked(action, bucket, key, version), record)
        if creates:
            for further in also_needed(caller.http.headers):
                self.confirm(caller, Asked(further, bucket, key), record, creates=True)
        if key is not None and record is None and action.startswith(_READS):
            listing = "s3:ListBucket" if version is None else "s3:ListBucketVersions"
            self.confirm(caller, Asked(listing, bucket), None)

    def confirm_topic(
        self,
        caller: Caller,
        action: str,
        topic: TopicRecord,
        arn: str,
        *,
        on_policy: bool = False,
    ) -> None:
        """Raise AuthorizationError unless `authorise_topic` lets the caller do it."""
        principal, said = caller.principal, Verdict.SILENT
        text = dict(topic.attributes).get("Policy")
        if text is not None:
            seen = Seen(
                principal,
                caller.mechanism,
                caller.http,
                caller.query,
                now_ms=self._clock.now_ms(),
                account=topic.account,
            )
            question = Question(requester_of(principal), action, arn, RequestKeys(seen))
            said = evaluate([_policy_of_topic(text)], question)
        if not authorise_topic(principal, topic.owner, said, on_policy=on_policy):
            raise AuthorizationError

    async def permit_by_name(
        self,
        caller: Caller,
        action: str,
        bucket_name: str,
        key: str | None,
        version: str | None = None,
    ) -> BucketRecord:
        """Do the same for a bucket by its name; return that. Raises NoSuchBucket."""
        bucket = await self._buckets.get(bucket_name)
        await self.permit(caller, action, bucket, key, version)
        return bucket

    def confirm(
        self, caller: Caller, asked: Asked, record: ObjectRecord | None, *, creates: bool = False
    ) -> None:
        """Raise AccessDenied unless the caller may do it to this very version.

        permit() must have been asked about this bucket before.
        """
        principal, bucket = caller.principal, asked.bucket
        if not bucket.policy and _is_host(principal, bucket) and asked.action.startswith("s3:"):
            return
        law = caller.laws.get(bucket.id)
        if law is None:
            raise AccessDenied
        said = Said(self._verdict(caller, asked, record, law), law.is_public, block=law.block)
        if not authorise(
            principal, asked.action, bucket=bucket, stored=record, said=said, creates=creates
        ):
            raise AccessDenied

    def _verdict(
        self, caller: Caller, asked: Asked, record: ObjectRecord | None, law: Law
    ) -> Verdict:
        if law.policy is None:
            return Verdict.SILENT
        seen = Seen(
            caller.principal,
            caller.mechanism,
            caller.http,
            caller.query,
            now_ms=self._clock.now_ms(),
            account=asked.bucket.account,
            version=asked.version,
            stored_tags=() if record is None else record.tags,
            from_body=caller.from_body,
        )
        arn = f"arn:aws:s3:::{asked.bucket.name}"
        if asked.key is not None:
            arn += f"/{asked.key}"
        who = requester_of(caller.principal)
        return evaluate([law.policy], Question(who, asked.action, arn, RequestKeys(seen)))

    async def _law(self, bucket: BucketRecord) -> Law:
        """Return what holds in a bucket. Policies are parsed once, and known by their digests."""
        law = LAWLESS
        if bucket.policy:
            known = self._parsed.get((bucket.id, bucket.policy))
            law = await self._read_policy(bucket) if known is None else known
        block = await self._access.block(bucket)
        return law if block is NOTHING_BLOCKED else msgspec.structs.replace(law, block=block)

    async def _read_policy(self, bucket: BucketRecord) -> Law:
        found = await self._access.policy(bucket)
        if found is None:  # removed since the bucket was read
            return LAWLESS
        digest, text = found
        policy = parse_bucket_policy(text, bucket.name)
        law = Law(policy, is_public(policy))
        if len(self._parsed) >= _CACHED_POLICIES:
            self._parsed.clear()
        self._parsed[bucket.id, digest] = law
        return law


@lru_cache(maxsize=256)
def _policy_of_topic(text: str) -> Policy:
    return parse_policy(text, has_principals=True)


def _is_host(principal: Principal, bucket: BucketRecord) -> bool:
    """Return whether a principal may do everything in a bucket that no policy forbids."""
    return principal.is_root or (principal.id == bucket.owner and principal.id != "")
