"""The whole truth table of ownership and canned ACLs."""

import itertools

import pytest

from s3server.auth.authorise import BucketFacts, authorise
from s3server.model import ANONYMOUS, Principal

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
FOREIGN = ["iam:CreateUser", "sts:AssumeRole", "sns:CreateTopic", "", "GetObject", "S3:GetObject"]
SERVICE = ["s3:ListAllMyBuckets", "s3:CreateBucket"]

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
    actual = authorise(
        WHO[who], action, bucket=BucketFacts(OWNER.id, acl), object_acl="", object_owner=OWNER.id
    )
    assert expected(who, acl, action) == actual


@pytest.mark.parametrize(("bucket_acl", "object_acl"), list(itertools.product(ACLS, ACLS)))
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:GetObjectVersion"])
def test_an_objects_own_acl_replaces_the_buckets_for_reads(bucket_acl, object_acl, action):
    facts = BucketFacts(OWNER.id, bucket_acl)
    anonymous_reads, other_reads, _ = BY_ACL[object_acl]
    for principal, allowed in [(ANONYMOUS, anonymous_reads), (OTHER, other_reads), (OWNER, True)]:
        assert allowed == authorise(
            principal, action, bucket=facts, object_acl=object_acl, object_owner=OWNER.id
        )


def test_an_objects_acl_neither_lists_nor_writes():
    facts = BucketFacts(OWNER.id, "private")
    for action in ["s3:ListBucket", *WRITES]:
        assert not authorise(
            OTHER, action, bucket=facts, object_acl="public-read-write", object_owner=OWNER.id
        )


def test_who_stored_an_object_reads_it_and_its_acl_and_nothing_more():
    facts = BucketFacts(OWNER.id, "private")
    allowed = {
        action
        for action in READS + WRITES + OWNERS
        if authorise(WRITER, action, bucket=facts, object_acl="private", object_owner=WRITER.id)
    }
    assert {"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl"} == allowed


def test_an_object_without_owner_does_not_belong_to_the_anonymous():
    for acl in ["", "private"]:
        for principal in [ANONYMOUS, Principal("user", "", "broken")]:
            assert not authorise(
                principal, "s3:GetObject", bucket=BucketFacts("", "private"),
                object_acl=acl, object_owner="",
            )  # fmt: skip


@pytest.mark.parametrize("action", READS + WRITES + OWNERS)
def test_without_a_bucket_nobody_but_root_acts_in_one(action):
    for who, principal in WHO.items():
        assert (who == "root") == authorise(
            principal, action, bucket=None, object_acl=None, object_owner=None
        )
