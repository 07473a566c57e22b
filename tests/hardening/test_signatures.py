"""Credentials that are broken, borrowed, late or only half there."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.asgi_client import Answer
from tests.support.served import Store, open_disk_store
from tests.support.signing import SIGNED_CHUNKS, UNSIGNED_CHUNKS, Key, presign, sign
from tests.support.uploads import begin

BODY = b"content"
PAYLOADS = {
    "hash": hashlib.sha256(BODY).hexdigest(),
    "unsigned": "UNSIGNED-PAYLOAD",
    "unsigned trailer": UNSIGNED_CHUNKS,
    "signed chunks": SIGNED_CHUNKS,
    "signed chunks, trailer": f"{SIGNED_CHUNKS}-TRAILER",
    "ecdsa": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
}
LIAR = Key("AKIAALICE", "not-the-secret")
WRITES = ["PutObject", "UploadPart", "DeleteObjects"]


async def write_request(store: Store, name: str) -> tuple[str, str]:
    if name == "PutObject":
        return "PUT", "/data/key"
    if name == "DeleteObjects":
        return "POST", "/data?delete"
    return "PUT", f"/data/key?partNumber=1&uploadId={await begin(store.alice, '/data/key')}"


@pytest.mark.parametrize("payload", sorted(PAYLOADS))
@pytest.mark.parametrize("write", WRITES)
async def test_wrong_secret_is_refused_in_every_payload_mode(
    data: Store, write: str, payload: str
) -> None:
    """CVE-2025-31489: the payload mode was looked at before the signature."""
    method, target = await write_request(data, write)
    headers = {"x-amz-decoded-content-length": "7", "content-md5": md5(BODY)}
    with data.untouched():
        answer = await data.alice.changed(key=LIAR)(
            method, target, body=BODY, headers=headers, payload=PAYLOADS[payload]
        )
    assert answer.outcome == (403, "SignatureDoesNotMatch")
    assert answer.text("CanonicalRequest") is not None
    assert answer.text("SignatureProvided") is not None


@pytest.mark.parametrize("payload", sorted(PAYLOADS))
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("signature", ["wrong", "none", "empty"])
async def test_credentials_in_the_query_need_their_signature(
    data: Store, write: str, payload: str, signature: str
) -> None:
    """CVE-2026-41145: credentials in the query and no Authorization header."""
    method, target = await write_request(data, write)
    headers = {"x-amz-content-sha256": PAYLOADS[payload], "x-amz-decoded-content-length": "7"}
    url = f"http://s3.test{target}"
    signed = presign(method, url, headers, key=LIAR, at=data.clock.now())
    base = signed.target.partition("&X-Amz-Signature=")[0]
    sent = {"wrong": signed.target, "none": base, "empty": f"{base}&X-Amz-Signature="}[signature]
    headers |= {"host": "s3.test", "content-length": "7", "content-md5": md5(BODY)}
    with data.untouched():
        answer = await data.nobody.send(method, sent, headers, BODY)
    if signature == "wrong":
        assert answer.outcome == (403, "SignatureDoesNotMatch")
    else:
        assert answer.outcome == (400, "AuthorizationQueryParametersError")


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


AMZ_HEADERS = {
    "x-amz-copy-source": "data/secret",
    "x-amz-acl": "public-read",
    "x-amz-tagging": "a=b",
    "x-amz-meta-a": "1",
    "x-amz-storage-class": "GLACIER",
    "x-amz-security-token": "token",
    "x-amz-object-lock-mode": "COMPLIANCE",
    "x-amz-object-lock-legal-hold": "ON",
    "x-amz-bypass-governance-retention": "true",
    "x-amz-grant-read": 'id="1"',
    "x-amz-server-side-encryption": "AES256",
    "x-amz-website-redirect-location": "/",
    "x-amz-expected-bucket-owner": "1",
    "x-amz-checksum-crc32": "AAAAAA==",
    "x-amz-sdk-checksum-algorithm": "CRC32",
    "x-amz-trailer": "x-amz-checksum-crc32",
    "x-amz-write-offset-bytes": "7",
    "x-amz-invented": "1",
    "X-AMZ-ACL": "public-read",
}


@pytest.mark.parametrize("name", sorted(AMZ_HEADERS))
@pytest.mark.parametrize("how", ["header", "query"])
async def test_every_amz_header_must_be_signed(data: Store, name: str, how: str) -> None:
    """CVE-2026-97731 and its kin: a presigned PUT with x-amz-copy-source added to it."""
    await data.alice.made("/data/secret", body=b"secret")
    with data.untouched():
        answer = await data.alice(
            "PUT",
            "/data/key",
            body=BODY,
            how=how,  # type: ignore[arg-type]
            unsigned={name: AMZ_HEADERS[name]},
        )
    assert answer.outcome == (403, "AccessDenied")
    assert answer.text("HeadersNotSigned") == name.lower()
    assert answer.text("Message") == (
        "There were headers present in the request which were not signed"
    )


@pytest.mark.parametrize("how", ["v2-header", "v2-query"])
@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a"])
async def test_version_2_signs_amz_headers_too(data: Store, name: str, how: str) -> None:
    await data.alice.made("/data/secret", body=b"secret")
    with data.untouched():
        answer = await data.alice(
            "PUT",
            "/data/key",
            body=BODY,
            how=how,  # type: ignore[arg-type]
            unsigned={name: AMZ_HEADERS[name]},
        )
    assert answer.outcome == (403, "SignatureDoesNotMatch")


async def test_signed_copy_source_in_a_link_copies(data: Store) -> None:
    await data.alice.made("/data/secret", body=b"secret")
    header = {"x-amz-copy-source": "data/secret"}
    answer = await data.alice("PUT", "/data/key", headers=header, how="query")
    assert (answer.status, answer.document.tag) == (200, "CopyObjectResult")


async def test_host_must_be_signed(data: Store) -> None:
    signed = sign(
        "GET", "http://s3.test/", {}, key=KEY, at=data.clock.now(), payload="UNSIGNED-PAYLOAD"
    )
    headers = dict(signed.headers, host="s3.test")
    headers["authorization"] = headers["authorization"].replace("=host;", "=")
    answer = await data.nobody.send("GET", "/", headers)
    assert answer.outcome == (403, "AccessDenied")


KEY = Key("AKIAALICE", "secret-of-alice")


def is_fine(answer: Answer) -> bool:
    return answer.status == 200


@pytest.mark.parametrize("how", ["header", "v2-header"])
@pytest.mark.parametrize(
    ("skew", "fine"), [(-901, False), (-899, True), (0, True), (899, True), (901, False)]
)
async def test_clock_of_a_client_may_be_15_minutes_off(
    data: Store, how: str, skew: int, fine: bool
) -> None:
    at = data.clock.now() + timedelta(seconds=skew)
    with data.untouched():
        answer = await data.alice("GET", "/data", how=how, at=at)  # type: ignore[arg-type]
    assert is_fine(answer) == fine
    if not fine:
        assert answer.outcome == (403, "RequestTimeTooSkewed")
        assert answer.text("MaxAllowedSkewMilliseconds") == "900000"
        assert answer.text("ServerTime") == "2026-09-21T14:13:20Z"
        assert answer.text("RequestTime")


@pytest.mark.parametrize(
    ("age", "expires", "fine"),
    [
        (0, 1, True),
        (1, 1, True),
        (2, 1, False),
        (600, 600, True),
        (601, 600, False),
        (604799, 604800, True),
        (604801, 604800, False),
        (-901, 600, False),
        (-899, 600, True),
    ],
)
@pytest.mark.parametrize("how", ["query", "v2-query"])
async def test_link_ends_at_its_second(
    data: Store, how: str, age: int, expires: int, fine: bool
) -> None:
    if how == "v2-query" and age < 0:
        fine = True  # version 2 has no beginning
    at = data.clock.now() - timedelta(seconds=age)
    answer = await data.alice("GET", "/data", how=how, at=at, expires_s=expires)  # type: ignore[arg-type]
    assert is_fine(answer) == fine
    if not fine:
        assert answer.outcome == (403, "AccessDenied")
        message = "Request has expired" if age > 0 else "Request is not valid yet"
        assert answer.text("Message") == message


@pytest.mark.parametrize("expires", [0, -1, 604_801, 10**12])
async def test_link_lives_1_second_to_7_days(data: Store, expires: int) -> None:
    answer = await data.alice("GET", "/data", how="query", expires_s=expires)
    assert answer.outcome == (400, "AuthorizationQueryParametersError")


MARKS = ["X-Amz-Signature=0", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=a"]
MARKS += ["Signature=0", "AWSAccessKeyId=a", "x-amz-signature=0"]


@pytest.mark.parametrize("mark", MARKS)
async def test_one_request_has_one_mechanism(data: Store, mark: str) -> None:
    with data.untouched():
        answer = await data.alice("GET", f"/data?{mark}")
    assert answer.outcome == (400, "InvalidArgument")
    assert (answer.text("Message") or "").startswith("Only one auth mechanism allowed")


@pytest.mark.parametrize("mark", MARKS)
async def test_half_a_link_is_no_anonymous_request(store: Store, mark: str) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read"})
    assert (await store.nobody("GET", "/data")).status == 200
    answer = await store.nobody("GET", f"/data?{mark}")
    assert answer.status in (400, 403)


@pytest.mark.parametrize(
    ("authorization", "outcome"),
    [
        ("", (403, "AccessDenied")),
        ("Basic dXNlcjpwYXNz", (400, "InvalidArgument")),
        ("Bearer token", (400, "InvalidArgument")),
        ("AWS4-HMAC-SHA256", (400, "AuthorizationHeaderMalformed")),
        ("AWS4-HMAC-SHA256 Credential=a", (400, "AuthorizationHeaderMalformed")),
        (
            (
                "AWS4-HMAC-SHA256 Credential=AKIAALICE/20260921/us-east-1/s3/aws4_request,"
                " SignedHeaders=host"
            ),
            (400, "AuthorizationHeaderMalformed"),
        ),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", (501, "NotImplemented")),
        ("AWS AKIAALICE", (400, "InvalidArgument")),
        ("AWS :", (400, "InvalidArgument")),
        ("AWS", (400, "InvalidArgument")),
    ],
)
async def test_authorization_that_is_none_is_never_anonymous(
    store: Store, authorization: str, outcome: tuple[int, str]
) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read"})
    headers = {"host": "s3.test", "authorization": authorization}
    headers |= {"x-amz-date": "20260921T141320Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    answer = await store.nobody.send("GET", "/data", headers)
    assert answer.outcome == outcome


@pytest.mark.parametrize("date", [None, "", "yesterday", "20260921", "20260921T141320"])
async def test_request_without_a_valid_date_is_refused(data: Store, date: str | None) -> None:
    """CVE-2015-8466: a signature without date is good for ever."""
    signed = sign(
        "GET", "http://s3.test/data", {}, key=KEY, at=data.clock.now(), payload="UNSIGNED-PAYLOAD"
    )
    headers = {**signed.headers, "host": "s3.test"}
    del headers["x-amz-date"]
    if date is not None:
        headers["x-amz-date"] = date
    answer = await data.nobody.send("GET", "/data", headers)
    assert answer.outcome == (403, "AccessDenied")


async def test_day_of_the_scope_is_the_day_of_the_date(data: Store) -> None:
    signed = sign(
        "GET", "http://s3.test/data", {}, key=KEY, at=data.clock.now(), payload="UNSIGNED-PAYLOAD"
    )
    other = signed.headers["authorization"].replace("/20260921/", "/20260920/")
    headers = {**signed.headers, "host": "s3.test", "authorization": other}
    answer = await data.nobody.send("GET", "/data", headers)
    assert answer.outcome == (400, "AuthorizationHeaderMalformed")


async def test_body_hash_must_be_sent_and_be_one(data: Store) -> None:
    signed = sign("PUT", "http://s3.test/data/key", {}, key=KEY, at=data.clock.now(), payload="x")
    headers = {**signed.headers, "host": "s3.test", "content-length": "0"}
    with data.untouched():
        malformed = await data.nobody.send("PUT", "/data/key", headers)
        del headers["x-amz-content-sha256"]
        missing = await data.nobody.send("PUT", "/data/key", headers)
    assert malformed.outcome == (400, "InvalidArgument")
    assert missing.outcome == (400, "InvalidRequest")


@pytest.mark.parametrize("flip", range(0, 64, 9))
async def test_signature_with_one_digit_changed_is_refused(data: Store, flip: int) -> None:
    signed = sign(
        "GET", "http://s3.test/data", {}, key=KEY, at=data.clock.now(), payload="UNSIGNED-PAYLOAD"
    )
    head, _, signature = signed.headers["authorization"].rpartition("=")
    digit = "0" if signature[flip] != "0" else "1"
    changed = signature[:flip] + digit + signature[flip + 1 :]
    headers = {**signed.headers, "host": "s3.test", "authorization": f"{head}={changed}"}
    answer = await data.nobody.send("GET", "/data", headers)
    assert answer.outcome == (403, "SignatureDoesNotMatch")
    assert answer.text("SignatureProvided") == changed
    assert signature.encode() not in answer.body


@pytest.mark.parametrize(
    ("method", "target", "header"),
    [
        ("PUT", "/data", {}),
        ("GET", "/data/", {}),
        ("GET", "/data?list-type=2", {}),
        ("GET", "/Data", {}),
        ("GET", "/data", {"host": "s3.test.evil"}),
        ("GET", "/data", {"range": "bytes=0-1"}),
    ],
)
async def test_signature_is_for_one_request_only(
    data: Store, method: str, target: str, header: dict[str, str]
) -> None:
    signed = sign(
        "GET",
        "http://s3.test/data",
        {"range": "bytes=5-"},
        key=KEY,
        at=data.clock.now(),
        payload="UNSIGNED-PAYLOAD",
    )
    headers = {**signed.headers, "host": "s3.test", "content-length": "0", **header}
    with data.untouched():
        answer = await data.nobody.send(method, target, headers)
    assert answer.outcome == (403, "SignatureDoesNotMatch")


async def test_secret_never_appears_in_an_answer(data: Store) -> None:
    for answer in (
        await data.alice.changed(key=LIAR)("GET", "/data"),
        await data.bob("GET", "/data"),
        await data.alice("GET", "/data/missing"),
    ):
        assert b"secret-of" not in answer.body
        assert b"not-the-secret" not in answer.body


async def test_session_token_that_nobody_gave_is_refused(data: Store) -> None:
    answer = await data.alice("GET", "/data", headers={"x-amz-security-token": "token"})
    assert answer.outcome == (400, "InvalidToken")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (b"Action=ListUsers&Version=2010-05-08", (400, "InvalidRequest")),
        (b"Action=GetCallerIdentity&Version=2011-06-15", (400, "InvalidRequest")),
        (b"Action=GetTopicAttributes&TopicArn=x&Version=2010-03-31", (400, "InvalidParameter")),
    ],
)
async def test_version_2_which_does_not_cover_the_body_opens_sns_only(
    store: Store, form: bytes, expected: tuple[int, str]
) -> None:
    answer = await store.root(
        "POST",
        "/",
        body=form,
        headers={"content-type": "application/x-www-form-urlencoded"},
        how="v2-header",
    )
    assert expected[0] == answer.status
    assert f"<Code>{expected[1]}</Code>".encode() in answer.body


async def test_version_2_can_be_switched_off(tmp_path: Path) -> None:
    async with open_disk_store(tmp_path, allow_sigv2=False) as store:
        for how in ("v2-header", "v2-query"):
            answer = await store.root("GET", "/", how=how)  # type: ignore[arg-type]
            assert answer.outcome == (400, "InvalidRequest")
        assert (await store.root("GET", "/")).status == 200
