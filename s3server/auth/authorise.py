"""May this principal do this? One pure function; what it does not know is denied.

The order, as in "Policy evaluation logic" (AWS IAM user guide): an explicit deny of any policy,
then what the principal's own policies say, then the bucket's policy, then ownership and ACLs.

- Root, who runs the store, and the owner of a bucket need no leave in it, with objects that
  others stored too; a deny of the bucket's policy holds for both, except that either may always
  read, replace and remove that policy.
- A principal that has policies of its own does nothing that they do not allow. In its own account
  they or the bucket's policy suffice; in another's both are needed.
- Who stored an object may read it and manage its ACL, unless the bucket's owner owns all objects
  ("BucketOwnerEnforced"); replacing and deleting it needs the bucket's leave.
- ACLs: see `acl`. Tags and configurations are theirs whom a policy names, and the owner's.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from s3server.auth import acl
from s3server.auth.acl import Grants
from s3server.auth.policy import Verdict
from s3server.model import NOTHING_BLOCKED, Principal, PublicAccessBlock

_SIGNED = frozenset({
    "s3:ListAllMyBuckets", "s3:CreateBucket", "sns:CreateTopic", "sns:ListTopics",
})  # fmt: skip
# Decided with the thing itself, which may have a policy that permits it.
_LATER = frozenset({"sns:DeleteTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes"})
_ON_POLICY = frozenset({
    "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:GetBucketPolicyStatus",
})  # fmt: skip
# Decided with the role, by its trust policy; and what proves itself by what it brings along.
_OWN_SESSIONS = frozenset({"sts:AssumeRole", "sts:GetCallerIdentity", "sts:GetSessionToken"})
_UNSIGNED = frozenset({
    "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithCertificate", "sts:GetCertificateChallenge",
})  # fmt: skip
# Of a user's own session, "GetSessionToken" of the STS API reference; MFA there is none here.
_USER_SESSIONS = frozenset({"sts:AssumeRole", "sts:GetCallerIdentity"})
OWNER_ENFORCED = "BucketOwnerEnforced"


class StoredBucket(Protocol):
    """What a decision needs to know of a bucket (core.records.BucketRecord)."""

    @property
    def owner(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def acl(self) -> str: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def ownership(self) -> str: ...


class StoredObject(Protocol):
    """What a decision needs to know of a version (core.records.ObjectRecord)."""

    @property
    def owner(self) -> str: ...
    @property
    def acl(self) -> str: ...
    @property
    def grants(self) -> Grants: ...


class StoredTopic(Protocol):
    """What a decision needs to know of a topic (core.records.TopicRecord)."""

    @property
    def owner(self) -> str: ...
    @property
    def account(self) -> str: ...


class Said(msgspec.Struct, frozen=True):
    """What policies say to a question, and what is blocked."""

    bucket_policy: Verdict = Verdict.SILENT
    is_public: bool = False  # whether the bucket's policy is
    own_policies: Verdict | None = None  # None: the principal has none, and is not bound by any
    block: PublicAccessBlock = NOTHING_BLOCKED


NOTHING_SAID = Said()


def authorise_topic(
    principal: Principal, topic: StoredTopic, said: Said, *, on_policy: bool = False
) -> bool:
    """Return whether `principal` may do something to a topic, whose policy stands for a bucket's.

    As with buckets: root and the owner need no leave, and a deny holds for both unless it is the
    policy itself that is read or replaced (`on_policy`).
    """
    if said.own_policies is Verdict.DENY:
        return False
    is_host = principal.is_root or (principal.id == topic.owner != "" and _may(said))
    if said.bucket_policy is Verdict.DENY:
        return is_host and on_policy
    is_at_home = principal.account == topic.account != ""
    if is_host or (is_at_home and said.own_policies is Verdict.ALLOW):
        return True
    return said.bucket_policy is Verdict.ALLOW and (is_at_home or _may(said))


def authorise(
    principal: Principal,
    action: str,
    *,
    bucket: StoredBucket | None = None,
    stored: StoredObject | None = None,
    said: Said = NOTHING_SAID,
    creates: bool = False,
) -> bool:
    """Return whether `principal` may do `action` ("s3:GetObject").

    `bucket` is None for the service itself and for a bucket that does not exist, `stored` where
    there is no such object. `creates`: the object, or the bucket, is being made by this very
    request, so whoever may make it may give it an ACL.
    """
    is_signed = not principal.is_anonymous and principal.id != ""
    known = _on_sessions(principal, action) if action.startswith(("sts:", "iam:")) else None
    if known is not None or said.own_policies is Verdict.DENY:
        return bool(known)
    if said.bucket_policy is Verdict.DENY:
        is_owner = bucket is not None and is_signed and principal.id == bucket.owner
        return action in _ON_POLICY and (principal.is_root or (is_owner and _may(said)))
    if is_signed and action in _LATER:
        return True
    is_maker = creates and bucket is None
    if principal.is_root or (is_signed and (action in _SIGNED or is_maker)):
        return _may(said)
    if bucket is None or not action.startswith("s3:"):
        return said.own_policies is Verdict.ALLOW  # users and topics are managed by root
    return _permits_in(bucket, principal, action, stored, said, creates=creates)


def _on_sessions(principal: Principal, action: str) -> bool | None:
    """Decide what no policy has a say in; None for everything else."""
    if action in _UNSIGNED:
        return True
    is_users_session = principal.kind == "session" and not principal.role
    if is_users_session and action not in _USER_SESSIONS:
        return False
    return not principal.is_anonymous if action in _OWN_SESSIONS else None


def _may(said: Said) -> bool:
    """Return whether the principal's own side has nothing against it."""
    return said.own_policies is None or said.own_policies is Verdict.ALLOW


def _permits_in(
    bucket: StoredBucket,
    principal: Principal,
    action: str,
    stored: StoredObject | None,
    said: Said,
    *,
    creates: bool,
) -> bool:
    is_signed = not principal.is_anonymous and principal.id != ""
    is_owner = is_signed and principal.id == bucket.owner
    is_at_home = is_owner or (is_signed and principal.account == bucket.account != "")
    if (is_owner and _may(said)) or (is_at_home and said.own_policies is Verdict.ALLOW):
        return True
    if said.bucket_policy is Verdict.ALLOW and (is_at_home or _may(said)):
        return is_at_home or not (said.is_public and said.block.restrict_public_buckets)
    return _may(said) and _acl_permits(
        principal, action, bucket, stored, said.block, creates=creates
    )


def _acl_permits(
    principal: Principal,
    action: str,
    bucket: StoredBucket,
    stored: StoredObject | None,
    block: PublicAccessBlock,
    *,
    creates: bool,
) -> bool:
    if bucket.ownership == OWNER_ENFORCED:
        return False
    if creates and action == "s3:PutObjectAcl":
        action = "s3:PutObject"
    is_stored_by = stored is not None and principal.id == stored.owner != ""
    if is_stored_by and not principal.is_anonymous and action in acl.OF_OBJECT_OWNERS:
        return True
    return acl.permits(
        principal,
        action,
        bucket_acl=(bucket.acl, bucket.grants),
        object_acl=(stored.acl, stored.grants) if stored is not None and stored.acl else None,
        ignores_public=block.ignore_public_acls,
    )
