"""Ownership controls of buckets over the wire."""

from __future__ import annotations

import pytest

from tests.ops.test_bucket_acl import ALICE, BOB, document, grants_of, to_user
from tests.support.served import Store


def controls(*rules: str) -> bytes:
    text = "".join(f"<Rule><ObjectOwnership>{rule}</ObjectOwnership></Rule>" for rule in rules)
    return f"<OwnershipControls>{text}</OwnershipControls>".encode()


@pytest.fixture
async def shared(data: Store) -> Store:
    await data.enrol("alice", "bob")
    return data


async def test_new_bucket_has_no_rule_and_its_acls_count(shared: Store) -> None:
    answer = await shared.alice("GET", "/data?ownershipControls")
    assert answer.outcome == (404, "OwnershipControlsNotFoundError")
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    assert (await shared.nobody("GET", "/data")).status == 200


@pytest.mark.parametrize("rule", ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"])
async def test_rule_is_kept_until_it_is_removed(shared: Store, rule: str) -> None:
    assert (await shared.alice.sent("/data?ownershipControls", controls(rule))).status == 200
    answer = await shared.alice("GET", "/data?ownershipControls")
    assert answer.document.tag == "OwnershipControls"
    assert answer.texts("Rule/ObjectOwnership") == [rule]
    assert (await shared.alice("DELETE", "/data?ownershipControls")).status == 204
    assert (await shared.alice("GET", "/data?ownershipControls")).status == 404
    created = await shared.alice("PUT", "/other", headers={"x-amz-object-ownership": rule})
    assert created.status == 200
    shown = await shared.alice("GET", "/other?ownershipControls")
    assert shown.texts("Rule/ObjectOwnership") == [rule]


@pytest.mark.parametrize(
    "body", [controls(), controls("Nobody"), controls("ObjectWriter", "ObjectWriter"), b"<X/>"]
)
async def test_other_rules_are_refused(shared: Store, body: bytes) -> None:
    with shared.untouched():
        answer = await shared.alice.sent("/data?ownershipControls", body)
    assert answer.outcome == (400, "MalformedXML")


async def test_enforced_owner_ends_all_rights_by_acl(shared: Store) -> None:
    await shared.alice.sent("/data?acl", document(to_user(BOB, "WRITE")))
    await shared.bob.made("/data/bobs", body=b"x", headers={"x-amz-acl": "public-read"})
    refused = await shared.alice.sent("/data?ownershipControls", controls("BucketOwnerEnforced"))
    assert refused.outcome == (400, "InvalidBucketAclWithObjectOwnership")
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "private"})
    await shared.alice.sent("/data?ownershipControls", controls("BucketOwnerEnforced"))
    for who in ("bob", None):
        assert (await shared.client(who)("GET", "/data/bobs")).outcome == (403, "AccessDenied")
    shown = await shared.alice("GET", "/data/bobs?acl")
    assert (shown.text("Owner/ID"), grants_of(shown)) == (ALICE, [(ALICE, "FULL_CONTROL")])
    assert (await shared.bob("GET", "/data/bobs?acl")).outcome == (403, "AccessDenied")


async def test_enforced_owner_refuses_acls(shared: Store) -> None:
    await shared.alice.sent("/data?ownershipControls", controls("BucketOwnerEnforced"))
    assert (await shared.alice("PUT", "/data/key")).status == 200
    for target in ("/data?acl", "/data/key?acl", "/data/new"):
        with shared.untouched():
            answer = await shared.alice.sent(target, b"", headers={"x-amz-acl": "public-read"})
        assert answer.outcome == (400, "AccessControlListNotSupported")
    for headers in (
        {"x-amz-acl": "bucket-owner-full-control"}, {"x-amz-grant-full-control": f'id="{ALICE}"'},
    ):  # fmt: skip
        assert (await shared.alice("PUT", "/data/key", headers=headers)).status == 200
    headers = {"x-amz-object-ownership": "BucketOwnerEnforced", "x-amz-acl": "public-read"}
    answer = await shared.alice("PUT", "/other", headers=headers)
    assert answer.outcome == (400, "InvalidBucketAclWithObjectOwnership")


@pytest.mark.parametrize(
    ("rule", "acl", "owner"),
    [
        ("ObjectWriter", "bucket-owner-full-control", BOB),
        ("BucketOwnerPreferred", "bucket-owner-full-control", ALICE),
        ("BucketOwnerPreferred", "bucket-owner-read", BOB),
        ("BucketOwnerPreferred", "", BOB),
    ],
)
async def test_who_owns_what_another_stores(shared: Store, rule: str, acl: str, owner: str) -> None:
    await shared.alice.sent("/data?acl", document(to_user(BOB, "WRITE")))
    await shared.alice.sent("/data?ownershipControls", controls(rule))
    await shared.bob.made("/data/key", headers={"x-amz-acl": acl} if acl else {})
    assert (await shared.alice("GET", "/data")).texts("Contents/Owner/ID") == [owner]
    assert (await shared.bob("GET", "/data/key")).status == (200 if owner == BOB else 403)
