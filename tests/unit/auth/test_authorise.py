"""The whole truth table of ownership, ACLs, what policies said, and what is blocked."""

import itertools

import pytest

from s3server.auth.authorise import Said, authorise
from s3server.auth.policy import Verdict
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.model import ANONYMOUS, Principal, PublicAccessBlock

OWNER = Principal("user", "a" * 64, "owner")
OTHER = Principal("user", "b" * 64, "other")
WRITER = Principal("user", "c" * 64, "writer")
ROOT = Principal("root", "d" * 64, "root")
WHO = {"anonymous": ANONYMOUS, "other": OTHER, "owner": OWNER, "root": ROOT}

ACLS = ["private", "public-read", "public-read-write", "authenticated-read", "no-such-acl"]
READS = ["s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion"]
WRITES = [
    "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
]  # fmt: skip
OWNERS = [
    "s3:PutBucketAcl", "s3:GetBucketAcl", "s3:DeleteBucket", "s3:PutBucketPolicy",
    "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:DeleteObjectVersion",
    "s3:PutObjectAcl", "s3:GetObjectAcl", "s3:GetObjectTagging", "s3:PutLifecycleConfiguration",
    "s3:BypassGovernanceRetention", "s3:PutBucketVersioning", "s3:NoSuchAction",
]  # fmt: skip
FOREIGN = [
    "iam:CreateUser",
    "sts:DecodeAuthorizationMessage",
    "sns:Publish",
    "",
    "GetObject",
    "S3:GetObject",
]
SERVICE = ["s3:ListAllMyBuckets", "s3:CreateBucket", "sns:CreateTopic", "sns:ListTopics"]

DENY, ALLOW, SILENT = Verdict.DENY, Verdict.ALLOW, Verdict.SILENT


def facts(acl="private", owner=None, **more):
    """Return a bucket."""
    owner = OWNER.id if owner is None else owner
    return BucketRecord(
        id=b"", name="b", owner=owner, account="red", created_ms=0, region="", acl=acl, **more
    )


def kept(acl="", owner=None, grants=()):
    """Return an object."""
    owner = OWNER.id if owner is None else owner
    return ObjectRecord(
        sequence=1, size=0, etag="", modified_ms=0, owner=owner, acl=acl, grants=grants
    )


# acl -> (anonymous reads, other user reads, both write)
BY_ACL = {
    "private": (False, False, False),
    "public-read": (True, True, False),
    "public-read-write": (True, True, True),
    "authenticated-read": (False, True, False),
    "no-such-acl": (False, False, False),
}


def expected(who: str, acl: str, action: str) -> bool:
    if who == "root":
        return True
    if action in FOREIGN:
        return False
    if action in SERVICE:
        return who != "anonymous"
    if who == "owner":
        return True
    anonymous_reads, other_reads, writes = BY_ACL[acl]
    if action in READS:
        return anonymous_reads if who == "anonymous" else other_reads
    return writes if action in WRITES else False


@pytest.mark.parametrize(
    ("who", "acl", "action"),
    list(itertools.product(WHO, ACLS, READS + WRITES + OWNERS + FOREIGN + SERVICE)),
)
def test_bucket_acl_truth_table(who, acl, action):
    actual = authorise(WHO[who], action, bucket=facts(acl), stored=kept())
    assert expected(who, acl, action) == actual


@pytest.mark.parametrize(("bucket_acl", "object_acl"), list(itertools.product(ACLS, ACLS)))
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:GetObjectVersion"])
def test_an_objects_own_acl_replaces_the_buckets_for_reads(bucket_acl, object_acl, action):
    anonymous_reads, other_reads, _ = BY_ACL[object_acl]
    for principal, allowed in [(ANONYMOUS, anonymous_reads), (OTHER, other_reads), (OWNER, True)]:
        assert allowed == authorise(
            principal, action, bucket=facts(bucket_acl), stored=kept(object_acl)
        )


def test_an_objects_acl_neither_lists_nor_writes():
    for action in ["s3:ListBucket", *WRITES]:
        assert not authorise(OTHER, action, bucket=facts(), stored=kept("public-read-write"))


OF_WRITERS = {
    "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl", "s3:PutObjectAcl",
}  # fmt: skip


@pytest.mark.parametrize(
    ("ownership", "allowed"),
    [
        ("", OF_WRITERS),
        ("ObjectWriter", OF_WRITERS),
        ("BucketOwnerPreferred", OF_WRITERS),
        ("BucketOwnerEnforced", set()),
    ],
)
def test_who_stored_an_object_reads_it_and_manages_its_acl_and_nothing_more(ownership, allowed):
    bucket = facts(ownership=ownership)
    actual = {
        action
        for action in READS + WRITES + OWNERS
        if authorise(WRITER, action, bucket=bucket, stored=kept("private", WRITER.id))
    }
    assert actual == allowed


def test_an_object_without_owner_does_not_belong_to_the_anonymous():
    for acl in ["", "private"]:
        for principal in [ANONYMOUS, Principal("user", "", "broken")]:
            assert not authorise(
                principal, "s3:GetObject", bucket=facts(owner=""), stored=kept(acl, "")
            )


@pytest.mark.parametrize("action", READS + WRITES + OWNERS)
def test_without_a_bucket_nobody_but_root_acts_in_one(action):
    for who, principal in WHO.items():
        assert (who == "root") == authorise(principal, action)


GRANTED = {
    "READ": {"s3:ListBucket", "s3:GetBucketLocation"},
    "WRITE": set(WRITES),
    "READ_ACP": {"s3:GetBucketAcl"},
    "WRITE_ACP": {"s3:PutBucketAcl"},
}
GRANTED["FULL_CONTROL"] = set().union(*GRANTED.values())


@pytest.mark.parametrize("permission", sorted(GRANTED))
def test_grant_on_a_bucket_permits_what_it_names(permission):
    bucket = facts("custom", grants=((OTHER.id, permission),))
    actions = set(READS + WRITES + OWNERS) - {"s3:GetObject", "s3:GetObjectVersion"}
    assert GRANTED[permission] == {
        action for action in actions if authorise(OTHER, action, bucket=bucket)
    }
    for principal in (WRITER, ANONYMOUS):
        assert not any(authorise(principal, action, bucket=bucket) for action in actions)


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        ("READ", {"s3:GetObject", "s3:GetObjectVersion"}),
        ("WRITE", set()),
        ("READ_ACP", {"s3:GetObjectAcl"}),
        ("WRITE_ACP", {"s3:PutObjectAcl"}),
        ("FULL_CONTROL", OF_WRITERS),
    ],
)
def test_grant_on_an_object_permits_what_it_names(permission, allowed):
    stored = kept("custom", grants=((OTHER.id, permission),))
    actions = READS + WRITES + OWNERS
    for principal, expected_actions in ((OTHER, allowed), (WRITER, set()), (ANONYMOUS, set())):
        assert expected_actions == {
            action
            for action in actions
            if authorise(principal, action, bucket=facts(), stored=stored)
        }


@pytest.mark.parametrize(
    ("group", "anonymous", "other"),
    [("AllUsers", True, True), ("AuthenticatedUsers", False, True), ("LogDelivery", False, False)],
)
def test_grant_to_a_group(group, anonymous, other):
    bucket = facts("custom", grants=((group, "READ"),))
    assert authorise(ANONYMOUS, "s3:ListBucket", bucket=bucket) is anonymous
    assert authorise(OTHER, "s3:ListBucket", bucket=bucket) is other
    ignoring = Said(block=PublicAccessBlock(ignore_public_acls=True))
    for principal in (ANONYMOUS, OTHER):
        assert not authorise(principal, "s3:ListBucket", bucket=bucket, said=ignoring)


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])
def test_public_acl_grants_nothing_where_it_is_ignored(acl, action):
    said = Said(block=PublicAccessBlock(ignore_public_acls=True))
    for principal in (ANONYMOUS, OTHER):
        assert not authorise(principal, action, bucket=facts(acl), stored=kept(acl), said=said)


def test_acls_count_for_nothing_where_the_buckets_owner_owns_all():
    bucket = facts("public-read-write", ownership="BucketOwnerEnforced")
    for action in READS + WRITES:
        assert not authorise(OTHER, action, bucket=bucket, stored=kept("public-read"))
        assert authorise(OWNER, action, bucket=bucket, stored=kept("public-read"))


def test_writer_gives_an_acl_to_what_it_stores_and_not_to_what_is_there():
    bucket = facts("public-read-write")
    assert authorise(OTHER, "s3:PutObjectAcl", bucket=bucket, creates=True)
    assert not authorise(OTHER, "s3:PutObjectAcl", bucket=bucket, stored=kept())
    assert not authorise(OTHER, "s3:PutObjectAcl", bucket=facts(), creates=True)


ON_POLICY = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy",
             "s3:GetBucketPolicyStatus"]  # fmt: skip


@pytest.mark.parametrize("action", sorted({*READS, *WRITES, *OWNERS, *ON_POLICY}))
@pytest.mark.parametrize("who", sorted(WHO))
def test_deny_of_the_buckets_policy_holds_for_all(who, action):
    """Root and the owner can still see and remove the policy, and nobody else can."""
    bucket = facts("public-read-write")
    actual = authorise(WHO[who], action, bucket=bucket, stored=kept("public-read"), said=Said(DENY))
    assert actual == (who in ("root", "owner") and action in ON_POLICY)


@pytest.mark.parametrize("action", [*READS, *WRITES, *OWNERS])
def test_allow_of_the_buckets_policy_is_enough(action):
    for principal in (ANONYMOUS, OTHER, OWNER):
        assert authorise(principal, action, bucket=facts(), said=Said(ALLOW))
    assert not authorise(OTHER, "iam:CreateUser", bucket=facts(), said=Said(ALLOW))


def test_public_policy_that_is_restricted_serves_the_owners_account_only():
    neighbour = Principal("user", "e" * 64, "neighbour", account="red")
    said = Said(ALLOW, is_public=True, block=PublicAccessBlock(restrict_public_buckets=True))
    for principal, allowed in (
        (ANONYMOUS, False),
        (OTHER, False),
        (OWNER, True),
        (neighbour, True),
    ):
        assert authorise(principal, "s3:GetObject", bucket=facts(), said=said) is allowed
    named = Said(ALLOW, block=PublicAccessBlock(restrict_public_buckets=True))
    assert authorise(OTHER, "s3:GetObject", bucket=facts(), said=named)


# at home / elsewhere, what the bucket's policy says, what the principal's own policies say
OWN = [
    (True, SILENT, ALLOW, True), (True, ALLOW, SILENT, True), (True, SILENT, SILENT, False),
    (False, SILENT, ALLOW, False), (False, ALLOW, SILENT, False), (False, ALLOW, ALLOW, True),
    (True, ALLOW, DENY, False), (True, DENY, ALLOW, False), (False, DENY, ALLOW, False),
]  # fmt: skip


@pytest.mark.parametrize(("at_home", "by_bucket", "own", "allowed"), OWN)
def test_principal_with_policies_of_its_own_needs_them(at_home, by_bucket, own, allowed):
    """In another account both sides must allow; a deny of either side decides."""
    who = Principal("user", "e" * 64, "bound", account="red" if at_home else "blue")
    said = Said(by_bucket, own_policies=own)
    assert authorise(who, "s3:GetObject", bucket=facts(), said=said) is allowed


def test_own_policies_bind_where_acls_and_ownership_would_permit():
    for who, bucket in ((OWNER, facts()), (OTHER, facts("public-read"))):
        assert authorise(who, "s3:ListBucket", bucket=bucket)
        for own in (SILENT, DENY):
            said = Said(own_policies=own)
            assert not authorise(who, "s3:ListBucket", bucket=bucket, said=said)
            assert not authorise(who, "s3:CreateBucket", said=said)
