"""Condition keys over the wire: each is what the server or the request says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from s3server.arns import USER_ID, unique_id
from tests.support.asgi_client import Client
from tests.support.served import Store, credential

ALICE, BOB = credential("alice").principal, credential("bob").principal


@pytest.fixture
async def kept() -> Store:
    store = Store(proxies=("10.0.0.0/8",))
    await store.alice.made("/data")
    await store.alice.made("/data/key", body=b"content")
    return store


async def permits(
    store: Store,
    condition: Mapping[str, Any],
    client: Client,
    method: str = "GET",
    target: str = "/data/key",
    **how: Any,
) -> bool:
    """Return whether a policy of this one condition lets a request through."""
    statement = {
        "Effect": "Allow", "Principal": "*", "Action": "s3:*",
        "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"], "Condition": condition,
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    assert (await store.alice.sent("/data?policy", document.encode())).status == 204
    answer = await client(method, target, **how)
    return answer.status != 403


def equals(key: str, value: str) -> dict[str, dict[str, str]]:
    return {"StringEquals": {key: value}}


OF_BOB = {
    "aws:username": "bob",
    "aws:userid": unique_id(USER_ID, BOB.id),
    "aws:PrincipalArn": "arn:aws:iam::bob-project:user/bob",
    "aws:PrincipalAccount": "bob-project",
    "aws:PrincipalType": "User",
    "aws:ResourceAccount": "alice-project",
    "s3:authType": "REST-HEADER",
    "s3:signatureversion": "AWS4-HMAC-SHA256",
}


@pytest.mark.parametrize("key", sorted(OF_BOB))
async def test_key_of_who_asks(kept: Store, key: str) -> None:
    assert await permits(kept, equals(key, OF_BOB[key]), kept.bob)
    assert not await permits(kept, equals(key, "other"), kept.bob)
    if "Resource" not in key:
        assert not await permits(kept, equals(key, OF_BOB[key]), kept.nobody)


@pytest.mark.parametrize(
    ("how", "kind", "version"),
    [
        ("header", "REST-HEADER", "AWS4-HMAC-SHA256"),
        ("query", "REST-QUERY-STRING", "AWS4-HMAC-SHA256"),
        ("v2-header", "REST-HEADER", "AWS"),
        ("v2-query", "REST-QUERY-STRING", "AWS"),
    ],
)
async def test_key_of_how_it_is_signed(kept: Store, how: str, kind: str, version: str) -> None:
    both = equals("s3:authType", kind)["StringEquals"] | {"s3:signatureversion": version}
    assert await permits(kept, {"StringEquals": both}, kept.bob, how=how)
    assert not await permits(kept, {"StringNotEquals": both}, kept.bob, how=how)


async def test_age_of_a_link(kept: Store) -> None:
    young = {"NumericLessThan": {"s3:signatureAge": "60000"}}
    now = kept.clock.now()
    assert await permits(kept, young, kept.bob, how="query", at=now - timedelta(seconds=59))
    assert not await permits(kept, young, kept.bob, how="query", at=now - timedelta(seconds=61))
    assert not await permits(kept, young, kept.bob)


async def test_time(kept: Store) -> None:
    assert await permits(kept, {"DateLessThan": {"aws:CurrentTime": "2026-09-22"}}, kept.nobody)
    assert not await permits(kept, {"DateLessThan": {"aws:CurrentTime": "2026-09-21"}}, kept.nobody)
    assert await permits(kept, {"NumericEquals": {"aws:EpochTime": "1790000000"}}, kept.nobody)
    kept.clock.ms += 86_400_000
    assert not await permits(kept, {"DateLessThan": {"aws:CurrentTime": "2026-09-22"}}, kept.nobody)


async def test_address_and_transport_count_from_trusted_proxies(kept: Store) -> None:
    near = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    secure = {"Bool": {"aws:SecureTransport": "true"}}
    modern = {"NumericGreaterThanEquals": {"s3:TlsVersion": "1.2"}}
    headers = {
        "x-forwarded-for": "198.51.100.9", "x-forwarded-proto": "https",
        "x-forwarded-tls-version": "TLSv1.3",
    }  # fmt: skip
    proxy, stranger = kept.nobody.changed(peer="10.0.0.1"), kept.nobody
    for condition in (near, secure, modern):
        assert await permits(kept, condition, proxy, headers=headers)
        assert not await permits(kept, condition, stranger, headers=headers)
    old = {**headers, "x-forwarded-tls-version": "TLSv1.1"}
    assert not await permits(kept, modern, proxy, headers=old)


async def test_version_of_tls_is_unknown_where_nobody_tells_it(kept: Store) -> None:
    secure = kept.nobody.changed(scheme="https")
    old = {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    assert not await permits(kept, old, secure)
    assert not await permits(kept, {"Null": {"s3:TlsVersion": "false"}}, secure)
    assert await permits(kept, {"Null": {"s3:TlsVersion": "true"}}, kept.nobody)


@pytest.mark.parametrize(
    ("key", "parameter"),
    [("s3:prefix", "prefix"), ("s3:delimiter", "delimiter"), ("s3:max-keys", "max-keys")],
)
async def test_parameters_of_a_listing(kept: Store, key: str, parameter: str) -> None:
    condition = equals(key, "7")
    for target, expected in (
        (f"/data?{parameter}=7", True), (f"/data?list-type=2&{parameter}=7", True),
        (f"/data?{parameter}=%37", True), (f"/data?{parameter}=8", False), ("/data", False),
    ):  # fmt: skip
        assert await permits(kept, condition, kept.bob, target=target) is expected


async def test_limit_of_a_listing(kept: Store) -> None:
    few = {"NumericLessThanEquals": {"s3:max-keys": "10"}}
    for target, expected in (("/data?max-keys=10", True), ("/data?max-keys=11", False)):
        assert await permits(kept, few, kept.bob, target=target) is expected
    assert not await permits(kept, few, kept.bob, target="/data")


async def test_version_id(kept: Store) -> None:
    condition = equals("s3:VersionId", "null")
    assert await permits(kept, condition, kept.bob, target="/data/key?versionId=null")
    assert not await permits(kept, condition, kept.bob)


HEADERS = {
    "s3:if-match": '"0123"',
    "s3:if-none-match": "*",
    "s3:x-amz-acl": "private",
    "s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    "s3:x-amz-copy-source": "data/key",
    "s3:x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
    "s3:x-amz-metadata-directive": "REPLACE",
    "s3:x-amz-server-side-encryption": "AES256",
    "s3:x-amz-storage-class": "STANDARD",
    "s3:object-lock-mode": "GOVERNANCE",
    "s3:object-lock-legal-hold": "ON",
    "aws:UserAgent": "curl/8",
    "aws:Referer": "https://site.org/",
}


@pytest.mark.parametrize("key", sorted(HEADERS))
async def test_header(kept: Store, key: str) -> None:
    name, value = key.removeprefix("s3:"), HEADERS[key]
    header = {"aws:UserAgent": "user-agent", "aws:Referer": "referer"}.get(key, name)
    if header.startswith("object-lock"):
        header = f"x-amz-{header}"
    how: dict[str, Any] = {"method": "PUT", "target": "/data/new"}
    payload = value if "sha256" in key else None
    sent = {} if payload else {header: value}
    assert await permits(kept, equals(key, value), kept.bob, headers=sent, payload=payload, **how)
    assert not await permits(kept, equals(key, "x"), kept.bob, headers=sent, **how)
    if not payload:
        assert not await permits(kept, equals(key, value), kept.bob, **how)


@pytest.mark.parametrize(
    ("method", "target", "creates"),
    [
        ("PUT", "/data/new", True),
        ("POST", "/data/new?uploadId=0", True),
        ("POST", "/data/new?uploads", False),
        ("PUT", "/data/new?partNumber=1&uploadId=0", False),
        ("PUT", "/data/key?tagging", False),
        ("GET", "/data/key", False),
    ],
)
async def test_whether_an_object_is_made(
    kept: Store, method: str, target: str, creates: bool
) -> None:
    """So that a policy can demand a condition where an object is made, and let its parts come."""
    condition = {"Bool": {"s3:ObjectCreationOperation": "true"}}
    assert await permits(kept, condition, kept.bob, method, target) is creates


async def test_days_that_a_new_object_is_kept(kept: Store) -> None:
    few = {"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "10"}}
    for days, expected in ((10, True), (11, False)):
        until = (kept.clock.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {"x-amz-object-lock-mode": "GOVERNANCE",
                   "x-amz-object-lock-retain-until-date": until}  # fmt: skip
        found = await permits(kept, few, kept.bob, "PUT", "/data/new", headers=headers)
        assert found is expected


@pytest.mark.parametrize(
    ("condition", "tags", "expected"),
    [
        (equals("s3:RequestObjectTag/kind", "raw"), "kind=raw", True),
        (equals("s3:RequestObjectTag/kind", "raw"), "kind=%72aw&x=1", True),
        (equals("s3:RequestObjectTag/kind", "raw"), "kind=cooked", False),
        (equals("s3:RequestObjectTag/kind", "raw"), "", False),
        (equals("s3:RequestObjectTag/kind", "raw"), "kind=raw&Kind=other", False),
        ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}, "a=1&b=2", True),
        ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}, "a=1&c=2", False),
        ({"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}, "a=1&c=2", True),
    ],
)
async def test_tags_of_a_request(
    kept: Store, condition: dict[str, Any], tags: str, expected: bool
) -> None:
    headers = {"x-amz-tagging": tags}
    found = await permits(kept, condition, kept.bob, "PUT", "/data/new", headers=headers)
    assert found is expected


async def test_tags_of_the_object_that_is_there(kept: Store) -> None:
    """Owners too: what a policy denies by tags needs them read."""
    bucket = await kept.services.buckets.get("data")
    await kept.services.objects.amend(
        bucket, "key", None, lambda record: replace(record, tags=(("kind", "raw"),))
    )
    raw, cooked = (equals("s3:ExistingObjectTag/kind", kind) for kind in ("raw", "cooked"))
    for method in ("GET", "HEAD", "DELETE"):
        assert not await permits(kept, cooked, kept.bob, method)
    assert await permits(kept, raw, kept.bob)
    assert not await permits(kept, raw, kept.bob, "PUT", "/data/new")
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::data/*", "Condition": raw,
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    await kept.alice.sent("/data?policy", document.encode())
    assert (await kept.alice("GET", "/data/key")).outcome == (403, "AccessDenied")
    await kept.alice.made("/data/plain")
    assert (await kept.alice("GET", "/data/plain")).status == 200


async def test_key_that_a_document_holds_is_read_before_the_decision(kept: Store) -> None:
    def rules(rule: str) -> bytes:
        inner = f"<Rule><ObjectOwnership>{rule}</ObjectOwnership></Rule>"
        return f"<OwnershipControls>{inner}</OwnershipControls>".encode()

    condition = equals("s3:x-amz-object-ownership", "ObjectWriter")
    await permits(kept, condition, kept.bob)
    target = "/data?ownershipControls"
    refused = await kept.bob.sent(target, rules("BucketOwnerPreferred"))
    assert refused.outcome == (403, "AccessDenied")
    assert (await kept.bob.sent(target, rules("ObjectWriter"))).status == 200
