"""The door to every handler: what is read to decide whether a request may do something.

The decision itself is `auth.authorise`; here are the reads that it needs, and none that it does
not: whoever owns a bucket without a policy, or runs the store, passes without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from s3server.arns import arns_of, iam_arn
from s3server.auth.acl import lets_logs_in
from s3server.auth.actions import also_needed, also_needed_of_bucket
from s3server.auth.authorise import OWNER_ENFORCED, Said, authorise, authorise_topic
from s3server.auth.bucket_policy import parse_bucket_policy
from s3server.auth.escalation import escapes_limits
from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Policy, Question, Requester, Verdict
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.policy_parse import parse_policy
from s3server.auth.request_keys import RequestKeys, Seen, requester_of
from s3server.auth.service import LOGGING, S3, Act, verdict_on, verdict_on_service
from s3server.auth.trust import RoleKeys, trusts_principal, trusts_provider
from s3server.core.access import Access
from s3server.core.identity_records import RoleRecord
from s3server.core.project_records import ProjectRecord
from s3server.core.record_parts import Author, NotificationRule
from s3server.core.records import BucketRecord, ObjectRecord, PolicyRecord, TopicRecord
from s3server.core.services import Services
from s3server.errors import AccessDenied, AuthorizationError
from s3server.identities import Identities
from s3server.laws import Law, Laws, Standing
from s3server.model import HttpRequest, Pairs, Principal
from s3server.subjects import Subject

# Demanded of each key that the request names in its body, where policies decide: by keys.
_PER_KEY = frozenset({"s3:DeleteObject"})
# Which absence of a key or version is told to those only who could see it in a listing.
_READS = "s3:Get"


class Caller(msgspec.Struct):
    """Who sent a request, and all of it that a decision may ask about."""

    principal: Principal
    mechanism: str  # of its proof, as in `model.Identity`; "post" where that was in a form
    http: HttpRequest
    query: Mapping[str, str]
    from_body: Mapping[str, tuple[str, ...]] | None = None  # condition keys that a document holds
    # What became of the keys of DeleteObjects, for the access log: key, version id, error code.
    deleted: list[tuple[str, str, str]] = []
    laws: dict[bytes, Law] = {}  # of buckets that this request has been judged in, by their id
    standings: dict[bytes, Standing] = {}  # in those of its own project, if policies have a say
    said: dict[tuple[object, ...], Said] = {}  # by what was asked
    own: OwnLaw | None = None  # what binds a principal that is not free, once that was read
    limited: ProjectRecord | None = None  # whose rates the request is held to


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants to do, and to what."""

    action: str
    bucket: BucketRecord
    key: str | None = None
    version: str | None = None  # version id that is asked for, None for the current one


class Door:
    """Decides for every request, and again for whatever else a handler is asked to do."""

    def __init__(self, services: Services, identities: Identities) -> None:
        self._buckets, self._objects = services.buckets, services.objects
        self._access, self._projects = services.access, services.projects
        self.identities, self._clock = identities, services.clock
        self._laws = Laws(services, identities)

    async def permit(
        self,
        caller: Caller,
        action: str,
        bucket: BucketRecord | None,
        key: str | None,
        version: str | None = None,
        *,
        creates: bool = False,
        made: str | None = None,
        stored: ObjectRecord | None = None,
    ) -> None:
        """Raise AccessDenied unless the caller may do `action` to the bucket, or a key in it.

        Where there is none, `made` is the name of the bucket that is being made: what the headers
        lay down of it needs its permission too. `version` is the
        version id that is asked for, None for the current one; `stored` is that version, where the
        caller of this has read it already. With `creates` the action is s3:PutObject, and all that
        is to be stored with the object by the headers of the request needs its permission too.
        Raises AccountProblem where the project of either has ended.
        """
        principal = caller.principal
        await self._admit(caller, action, bucket)
        if bucket is None:
            self._permit_outside(caller, action, made)
            return
        if not bucket.policy and _is_host(principal, bucket) and action.startswith("s3:"):
            return
        if key is None and action in _PER_KEY and has_policies(principal, bucket):
            return
        if bucket.id not in caller.standings:
            caller.laws[bucket.id] = await self._laws.law_of(bucket)
        record = stored
        if record is None and key is not None:
            record = await self._objects.find(bucket, key, version)
        self.confirm(caller, Asked(action, bucket, key, version), record)
        if creates:
            for further in also_needed(caller.http.headers):
                self.confirm(caller, Asked(further, bucket, key), record, creates=True)
        if key is not None and record is None and action.startswith(_READS):
            listing = "s3:ListBucket" if version is None else "s3:ListBucketVersions"
            self.confirm(caller, Asked(listing, bucket), None)

    def _permit_outside(self, caller: Caller, action: str, made: str | None) -> None:
        """Raise AccessDenied unless the caller may do what is about no bucket that there is."""
        needed = {action}
        if made is not None:
            needed |= also_needed_of_bucket(caller.http.headers)
        subject = Subject(f"arn:aws:s3:::{made or '*'}")
        for one in needed:
            said = Said(own_policies=self._own_verdict(caller, one, subject))
            if not authorise(caller.principal, one, said=said, creates=made is not None):
                raise AccessDenied

    async def _admit(self, caller: Caller, action: str, bucket: BucketRecord | None) -> None:
        """Find out what binds the caller. Raises AccountProblem."""
        principal = caller.principal
        is_at_home = bucket is not None and principal.account == bucket.account != ""
        if bucket is None or not is_at_home or principal.is_root or principal.is_anonymous:
            caller.limited = await self._projects.admit(principal, action, bucket)
            if caller.own is None and not principal.is_free:
                caller.own = await self.identities.law_of(principal)
        elif has_policies(principal, bucket):
            standing = await self._laws.of(principal, bucket)
            caller.limited = self._projects.admit_to(standing.project, action)
            caller.own, caller.laws[bucket.id] = standing.own, standing.law
            caller.standings[bucket.id] = standing
        else:
            caller.limited = await self._projects.admit(principal, action, bucket)

    async def permit_service(
        self, caller: Caller, service: str, name: str, action: str, subject: Subject
    ) -> None:
        """Raise AccessDenied, of SNS AuthorizationError, unless the caller may do it.

        The operation `name` is one of IAM, STS or SNS. Raises AccountProblem where the project of
        the caller has ended.
        """
        principal = caller.principal
        caller.limited = await self._projects.admit(principal, action, None)
        if caller.own is None and not principal.is_free:
            caller.own = await self.identities.law_of(principal)
        verdict = self._own_verdict(caller, action, subject)
        is_permitted = authorise(principal, action, said=Said(own_policies=verdict))
        if service == "iam" and escapes_limits(principal, name, subject):
            is_permitted, verdict = False, Verdict.DENY
        if not is_permitted:
            refusal = AuthorizationError if service == "sns" else AccessDenied
            raise refusal(_refusal(principal, action, subject, verdict))

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
        policy = _policy_of_topic(topic)
        keys = self._keys(caller, topic.account)
        question = Question(requester_of(principal), action, arn, keys)
        own = None if caller.own is None else caller.own.verdict(question)
        if policy is not None:
            said = verdict_there(PolicyIndex([policy]), question, own, topic.account)
        if not authorise_topic(principal, topic, Said(said, own_policies=own), on_policy=on_policy):
            raise AuthorizationError

    def confirm_role(
        self,
        caller: Caller,
        actions: Iterable[str],
        role: RoleRecord,
        more: Mapping[str, tuple[str, ...]],
        provider: Provider | None = None,
    ) -> None:
        """Raise AccessDenied unless a role's trust policy lets the caller do it.

        `more` are condition keys of the request; `provider` vouches for a caller who is nobody.
        """
        arn = iam_arn(role.account, "role", role.path, role.name)
        trust = _trust_policy(role.trust_policy, role.trusted)
        name = "" if provider is None else provider.name
        keys = RoleKeys(self._keys(caller, role.account), more, name)
        for action in actions:
            if provider is None:
                question = Question(requester_of(caller.principal), action, arn, keys)
                is_trusted = trusts_principal(
                    trust, caller.principal, role.account, question, caller.own
                )
            else:
                who = Requester(providers=provider.principals(role.account))
                is_trusted = trusts_provider(trust, Question(who, action, arn, keys))
            if not is_trusted:
                raise AccessDenied(f"Not authorized to perform {action} on {arn}.")

    def author_of_rule(self, caller: Caller, topic: TopicRecord, arn: str) -> Author:
        """Return who makes a rule that publishes to a topic, as far as its policy may ask.

        Raises AuthorizationError where their own policies forbid it. Whom these do not allow it in
        another account is nobody: only S3 itself may be let in then.
        """
        principal, own = caller.principal, None
        who = requester_of(principal)
        if caller.own is not None:
            keys = self._keys(caller, topic.account)
            own = caller.own.verdict(Question(who, "sns:Publish", arn, keys))
        if own is Verdict.DENY:
            raise AuthorizationError
        if own is Verdict.SILENT and principal.account != topic.account:
            return Author()
        is_host = authorise_topic(principal, topic, Said(own_policies=own))
        account = "" if own is Verdict.SILENT else who.account  # see `verdict_there`
        return Author(who.canonical_id, account, who.arns, is_host)

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
        if law is None or (caller.own is None and not principal.is_free):
            raise AccessDenied
        if self._is_cleared(caller, asked):
            return
        said = self._said(caller, asked, record, law)
        if not authorise(
            principal, asked.action, bucket=bucket, stored=record, said=said, creates=creates
        ):
            raise AccessDenied

    def _is_cleared(self, caller: Caller, asked: Asked) -> bool:
        """Return whether what has been asked is surely permitted, whatever object is there."""
        standing = caller.standings.get(asked.bucket.id)
        if asked.key is None or standing is None or standing.own is not caller.own:
            return False
        return self._laws.clears(standing, asked.action, asked.key, caller.http)

    def _said(self, caller: Caller, asked: Asked, record: ObjectRecord | None, law: Law) -> Said:
        """Return what all policies say that have a say."""
        own, policy = caller.own, law.policy
        if own is None and policy is None:
            return Said(is_public=law.is_public, block=law.block)
        # Asked before and after the handler read the object: of the same one it is the same.
        stored = () if record is None else record.tags
        about = asked.bucket.id, asked.action, asked.key, asked.version, stored
        known = caller.said.get(about)
        if known is None:
            known = caller.said[about] = self._ask(caller, asked, record, law)
        return known

    def _ask(self, caller: Caller, asked: Asked, record: ObjectRecord | None, law: Law) -> Said:
        """Evaluate the policies that have a say."""
        own, policy = caller.own, law.policy
        arn = f"arn:aws:s3:::{asked.bucket.name}"
        if asked.key is not None:
            arn += f"/{asked.key}"
        bucket = asked.bucket
        tags = bucket.tags if bucket.abac else None
        keys = self._keys(caller, bucket.account, asked.version, record, bucket_tags=tags)
        question = Question(requester_of(caller.principal), asked.action, arn, keys)
        own_said, there = None if own is None else own.verdict(question), Verdict.SILENT
        if policy is not None:
            there = verdict_there(policy, question, own_said, bucket.account)
        return Said(there, law.is_public, own_said, law.block)

    def _own_verdict(self, caller: Caller, action: str, subject: Subject) -> Verdict | None:
        """Return what the caller's own policies say of something that is in no bucket."""
        if caller.own is None:
            return None
        keys = self._keys(caller, caller.principal.account, of_service=subject.keys)
        question = Question(requester_of(caller.principal), action, subject.arn, keys)
        return caller.own.verdict(question)

    def _keys(
        self,
        caller: Caller,
        account: str,
        version: str | None = None,
        record: ObjectRecord | None = None,
        *,
        of_service: Mapping[str, tuple[str, ...]] | None = None,
        bucket_tags: Pairs | None = None,
    ) -> RequestKeys:
        """Return the condition keys of a request; `account` is that of what it is about."""
        return RequestKeys(
            Seen(
                caller.principal,
                caller.mechanism,
                caller.http,
                caller.query,
                now_ms=self._clock.now_ms(),
                account=account,
                version=version,
                stored_tags=() if record is None else record.tags,
                from_body=caller.from_body,
                of_service=of_service,
                bucket_tags=bucket_tags,
            )
        )


class Provider(msgspec.Struct, frozen=True):
    """Who vouches for people that are no users here, as policies name it."""

    name: str  # what the keys of its claims begin with
    is_certificates: bool = False

    def principals(self, account: str) -> tuple[str, ...]:
        """Return what stands for it under "Federated"."""
        if self.is_certificates:
            return (self.name,)
        return (f"arn:aws:iam::{account}:oidc-provider/{self.name}",)


def verdict_there(
    policy: PolicyIndex, question: Question, own: Verdict | None, account: str
) -> Verdict:
    """Return what the policy of something of an account's says; `own` policies say that.

    Where it permits something to its own account as such, their policies have to allow it, too:
    "Principal: AWS account principals", AWS IAM user guide.
    """
    said = policy.verdict(question)
    if said is Verdict.ALLOW and own is Verdict.SILENT and question.who.account == account:
        itself = msgspec.structs.replace(question, who=question.who.itself)
        return said if policy.verdict(itself) is said else Verdict.SILENT
    return said


@lru_cache(maxsize=1_024)
def _trust_policy(text: str, bound: Pairs) -> Policy:
    return parse_policy(text, has_principals=True, has_resources=False, bound=bound)


async def said_of_delivery(
    access: Access,
    service: str,
    source: BucketRecord,
    target: BucketRecord,
    *,
    key: str,
    now_ms: int,
) -> Verdict:
    """Return what a bucket's policy says to a service that would store an object for another."""
    found = await access.policy(target)
    policies = [] if found is None else [_policy_of_bucket(found[1], target.name)]
    arn = f"arn:aws:s3:::{target.name}/{key}"
    act = Act("s3:PutObject", arn, source.name, source.account, target.account, now_ms)
    return verdict_on_service(policies, service, act)


async def may_deliver(
    access: Access,
    service: str,
    source: BucketRecord,
    target: BucketRecord,
    *,
    key: str,
    now_ms: int,
) -> bool:
    """Return whether one of AWS's services may store an object for a bucket: logs, inventories.

    Both buckets are of one account. The target's policy decides; where it says nothing, buckets of
    one owner may, and logs where the ACL lets the log delivery group write.
    """
    said = await said_of_delivery(access, service, source, target, key=key, now_ms=now_ms)
    return lets_in(said, service, source, target)


def lets_in(said: Verdict, service: str, source: BucketRecord, target: BucketRecord) -> bool:
    """Return that, where it is known what the policy of the target says."""
    if source.account != target.account:
        return False
    if said is not Verdict.SILENT:
        return said is Verdict.ALLOW
    has_acl = service == LOGGING and target.ownership != OWNER_ENFORCED
    return source.owner == target.owner or (has_acl and lets_logs_in(target.acl, target.grants))


def may_publish(
    bucket: BucketRecord, rule: NotificationRule, topic: TopicRecord, now_ms: int
) -> bool:
    """Return whether a topic lets a rule of a bucket publish to it.

    It does where it lets who made the rule, or S3 for this bucket: the former is Ceph's way, the
    latter AWS's. Asked with every event, so that what a policy takes back ends at once; the
    request is over by then, and conditions on it (`aws:SourceIp`) decide nothing.
    """
    author, policy = rule.author, _policy_of_topic(topic)
    if policy is None:
        return author.is_host
    act = Act("sns:Publish", rule.topic, bucket.name, bucket.account, topic.account, now_ms)
    who = Requester(author.arns, author.account, author.id)
    said = {verdict_on([policy], who, act), verdict_on_service([policy], S3, act)}
    return Verdict.DENY not in said and (author.is_host or Verdict.ALLOW in said)


@lru_cache(maxsize=256)
def _policy_of_bucket(stored: PolicyRecord, name: str) -> Policy:
    return parse_bucket_policy(stored.text, name, stored.principals)


def _policy_of_topic(topic: TopicRecord) -> Policy | None:
    text = dict(topic.attributes).get("Policy")
    return None if text is None else _parsed_of_topic(text, topic.principals)


@lru_cache(maxsize=256)
def _parsed_of_topic(text: str, bound: Pairs) -> Policy:
    return parse_policy(text, has_principals=True, bound=bound)


def _refusal(principal: Principal, action: str, subject: Subject, verdict: Verdict | None) -> str:
    """Return what IAM tells who may not."""
    who = next(iter(arns_of(principal)), "anonymous")
    why = f"no identity-based policy allows the {action} action"
    if verdict is Verdict.DENY:
        why = "a policy, a boundary or the limits of the credentials forbid it"
    return (
        f"User: {who} is not authorized to perform: {action} on resource: {subject.arn} "
        f"because {why}"
    )


def has_policies(principal: Principal, bucket: BucketRecord | None) -> bool:
    """Return whether policies have a say: the bucket's, or the principal's own."""
    return (bucket is not None and bucket.policy != b"") or not principal.is_free


def _is_host(principal: Principal, bucket: BucketRecord) -> bool:
    """Return whether a principal may do everything in a bucket that no policy forbids."""
    return principal.is_root or (
        principal.id == bucket.owner and principal.id != "" and principal.is_free
    )
