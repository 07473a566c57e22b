"""Public access blocks over the wire: all four of them act."""

from __future__ import annotations

import pytest

from s3server.model import PublicAccessBlock
from tests.ops.test_bucket_acl import BOB, document, grants_of, to_group, to_user
from tests.ops.test_bucket_policy import allow
from tests.ops.test_bucket_policy import document as policy
from tests.support.served import Store

FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
ACCESS_DENIED = (403, "AccessDenied")
BOBS_ARN = "arn:aws:iam::bob-project:user/bob"


def configuration(*flags: str) -> bytes:
    text = "".join(f"<{flag}>true</{flag}>" for flag in flags)
    return f"<PublicAccessBlockConfiguration>{text}</PublicAccessBlockConfiguration>".encode()


@pytest.fixture
async def shared(data: Store) -> Store:
    await data.enrol("alice", "bob")
    await data.alice.made("/data/key", body=b"content")
    return data


async def block(store: Store, *flags: str) -> None:
    answer = await store.alice.sent("/data?publicAccessBlock", configuration(*flags))
    assert answer.status == 200


async def test_configuration_is_kept_until_it_is_removed(shared: Store) -> None:
    target = "/data?publicAccessBlock"
    missing = (404, "NoSuchPublicAccessBlockConfiguration")
    assert (await shared.alice("GET", target)).outcome == missing
    await block(shared, FLAGS[0], FLAGS[2])
    answer = await shared.alice("GET", target)
    assert answer.document.tag == "PublicAccessBlockConfiguration"
    assert [answer.text(flag) for flag in FLAGS] == ["true", "false", "true", "false"]
    assert (await shared.alice("DELETE", target)).status == 204
    assert (await shared.alice("GET", target)).outcome == missing


async def test_unknown_flag_is_refused(shared: Store) -> None:
    with shared.untouched():
        answer = await shared.alice.sent("/data?publicAccessBlock", configuration("BlockAll"))
    assert answer.outcome == (400, "MalformedXML")


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_it(shared: Store, who: str | None) -> None:
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    for method in ("GET", "PUT", "DELETE"):
        with shared.untouched():
            answer = await shared.client(who)(method, "/data?publicAccessBlock")
        assert answer.outcome == ACCESS_DENIED


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
async def test_public_acls_are_blocked(shared: Store, acl: str) -> None:
    await block(shared, "BlockPublicAcls")
    for target in ("/data?acl", "/data/key?acl", "/data/new"):
        with shared.untouched():
            answer = await shared.alice.sent(target, b"", headers={"x-amz-acl": acl})
        assert answer.outcome == ACCESS_DENIED
        assert "BlockPublicAcls" in (answer.text("Message") or "")
        with shared.untouched():
            headers = {"x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'}
            answer = await shared.alice.sent(target, b"", headers=headers)
        assert answer.outcome == ACCESS_DENIED
    for target in ("/data?acl", "/data/key?acl"):
        with shared.untouched():
            answer = await shared.alice.sent(target, document(to_group("AllUsers", "READ_ACP")))
        assert answer.outcome == ACCESS_DENIED
        assert (await shared.alice.sent(target, document(to_user(BOB, "READ")))).status == 200


async def test_public_acls_are_ignored_and_shown(shared: Store) -> None:
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    await shared.alice.sent("/data/key?acl", b"", headers={"x-amz-acl": "authenticated-read"})
    assert (await shared.nobody("GET", "/data")).status == 200
    await block(shared, "IgnorePublicAcls")
    for who in (None, "bob"):
        for target in ("/data", "/data/key"):
            assert (await shared.client(who)("GET", target)).outcome == ACCESS_DENIED
    assert len(grants_of(await shared.alice("GET", "/data?acl"))) == 2
    assert (await shared.alice("GET", "/data/key")).status == 200


async def test_public_policies_are_blocked(shared: Store) -> None:
    await block(shared, "BlockPublicPolicy")
    with shared.untouched():
        answer = await shared.alice.sent("/data?policy", policy(allow("s3:GetObject")))
    assert answer.outcome == ACCESS_DENIED
    assert "BlockPublicPolicy" in (answer.text("Message") or "")
    named = policy(allow("s3:GetObject", who=BOBS_ARN))
    assert (await shared.alice.sent("/data?policy", named)).status == 204
    assert (await shared.bob("GET", "/data/key")).status == 200


async def test_bucket_with_a_public_policy_serves_its_account_only(shared: Store) -> None:
    both = policy(allow("s3:GetObject"), allow("s3:GetObject", who=BOBS_ARN))
    await shared.alice.sent("/data?policy", both)
    assert (await shared.nobody("GET", "/data/key")).status == 200
    await block(shared, "RestrictPublicBuckets")
    for who in (None, "bob"):
        assert (await shared.client(who)("GET", "/data/key")).outcome == ACCESS_DENIED
    assert (await shared.alice("GET", "/data/key")).status == 200
    await shared.alice.sent("/data?policy", policy(allow("s3:GetObject", who=BOBS_ARN)))
    assert (await shared.bob("GET", "/data/key")).status == 200


async def test_what_is_blocked_for_the_account_is_blocked_for_its_buckets(shared: Store) -> None:
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    access = shared.services.access
    await access.put_account_block(
        "alice-project", PublicAccessBlock(block_public_acls=True, ignore_public_acls=True)
    )
    assert (await shared.nobody("GET", "/data")).outcome == ACCESS_DENIED
    for target in ("/data?acl", "/new"):
        answer = await shared.alice.sent(target, b"", headers={"x-amz-acl": "public-read"})
        assert answer.outcome == ACCESS_DENIED
    await access.put_account_block("alice-project", None)
    assert (await shared.nobody("GET", "/data")).status == 200
