"""Thousands of requests that are almost right: each has an answer, and none a traceback.

The stream of requests follows from the seed, so that a failure can be run again.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest
import structlog
from structlog.testing import capture_logs

from tests.fuzz.documents import DOCUMENTS, built, outline
from tests.support.asgi_client import Answer, How
from tests.support.fuzzing import Mutator
from tests.support.rows import EVERY_ROW
from tests.support.served import Store
from tests.support.signing import SIGNED_CHUNKS, UNSIGNED_CHUNKS, unsigned_chunks
from tests.support.uploads import begin, parts_document

REQUESTS = 4_000  # for each seed
ALLOWED_5XX = {501, 503, 507}
WHO = (*["root"] * 8, "alice", None)
HANDLED = tuple(row for row in EVERY_ROW if row.is_handled)
HOWS: tuple[How, ...] = ("header", "header", "header", "header", "query", "v2-header", "v2-query")
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "get", "")
PATHS = (
    "/", "/data", "/data/", "/data/key", "/data/key/", "/data/a%2Fb", "/missing", "/missing/key",
    "//", "/data//", "/data/..", "/../data", "/data/%00", "/data/%ff", "/data/%", "/%2e%2e/x",
    "/data/" + "k" * 1_025, "/DATA", "/-", "/a", "/data/%F0%9F%98%80", "/data/key%0d%0a", "*", "",
)  # fmt: skip
QUERY_KEYS = sorted(
    {
        pair.partition("=")[0]
        for row in EVERY_ROW
        for pair in row.target.partition("?")[2].split("&")
    }
    | {
        "prefix",
        "delimiter",
        "marker",
        "max-keys",
        "continuation-token",
        "start-after",
        "fetch-owner",
        "encoding-type",
        "key-marker",
        "upload-id-marker",
        "max-uploads",
        "max-parts",
        "versionId",
        "part-number-marker",
        "response-content-type",
        "response-expires",
        "x-id",
        "max-buckets",
        "X-Amz-Signature",
        "Signature",
        "Expires",
        "x-amz-acl",
        "x-amz-copy-source",
        "x-amz-meta-a",
    }
)
VALUES = (
    "", "1", "0", "-1", "10001", "2147483648", "9" * 40, "url", "true", "null", "data/key", "%00",
    "%ff", "%", "+", "%2B", "/", "a", "..", "%0d%0aX: y", "2", "key", "AAAA", "public-read", "*",
    "%22", "x" * 2_000, "%F0%9F%98%80", "Mon, 21 Sep 2026 14:13:20 GMT", "bytes=0-0",
    "STANDARD", "=", "&",
)  # fmt: skip
HEADERS = [
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "content-md5",
    "content-type",
    "content-encoding",
    "expires",
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-meta-a",
    "x-amz-copy-source-range",
    "x-amz-metadata-directive",
    "x-amz-checksum-crc32",
    "x-amz-tagging",
    "x-amz-checksum-sha256",
    "x-amz-sdk-",
    "checksum-algorithm",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-trailer",
    "x-amz-decoded-",
    "content-length",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-expected-bucket-owner",
    "x-amz-security-token",
    "x-amz-write-offset-bytes",
    "x-amz-mp-object-size",
    "x-amz-object-lock-mode",
    "transfer-encoding",
    "content-length",
    "authorization",
    "host",
    "date",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-amz-object-attributes",
    "x-amz-checksum-mode",
    "x-amz-date",
    "x-amz-content-sha256",
    "expect",
    "x-amz-",
    "grant-read",
    "x-amz-website-redirect-location",
    "x-amz-mfa",
    "if-range",
]
HEADER_VALUES = (
    *(value for value in VALUES if "%" not in value), "bytes=0-1,3-4", "bytes=" + "0-,"  * 900,
    '"d41d8cd98f00b204e9800998ecf8427e"', "W/\"x\"", "AAAAAA==", "CRC32", "SHA256", "COMPOSITE",
    "x-amz-checksum-crc32", "=?utf-8?B?AAAA?=", "=?utf-8?Q?=0D=0A?=", "é", "\udcff", "aws-chunked",
    "data/key?versionId=null", "/data/%", "REPLACE", "data/key?versionId=x", "AES256",
    "multipart/form-data", "application/x-www-form-urlencoded", "s3.test", "data.s3.test", "a\tb",
    "\x00", "chunked", "100-continue",
)  # fmt: skip
PAYLOADS = (*[None] * 12, "UNSIGNED-PAYLOAD", UNSIGNED_CHUNKS, SIGNED_CHUNKS, "0" * 64, "x")
BODIES = (
    b"", b"content", bytes(range(256)), b"x" * 70_000, b"<", b"<Delete/>", b"\xff" * 20,
    b"<Delete><Object><Key>key</Key></Object></Delete>", b"<Delete><Object/></Delete>",
    b"<CreateBucketConfiguration/>", parts_document([(1, '"0"')]),
    unsigned_chunks(b"abc", sizes=[3]),
    b"<!DOCTYPE a><a/>", b"Action=ListUsers&Version=2010-05-08", b"Action=&a.b.c=1", b"{}",
    b"5\r\nabc", (b"<CompleteMultipartUpload><Part><PartNumber>9999999999</PartNumber>"
    b"<ETag>x</ETag></Part></CompleteMultipartUpload>"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, before it is signed."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    who: str | None
    how: How
    payload: str | None
    damage: str


def documents(seed: int) -> dict[str, Mutator]:
    """Return what makes documents, by their operations."""
    return {
        name: Mutator([outline(document % b"")], (name, seed))
        for name, (document, _) in DOCUMENTS.items()
    }


def draw(rng: random.Random, upload: str, made: dict[str, Mutator]) -> Attempt:
    """Return a request that reaches an operation, changed in zero to three places."""
    row = rng.choice(HANDLED if rng.random() < 0.9 else EVERY_ROW)
    digest = {}
    body = rng.choice(BODIES)
    if row.name in made and rng.random() < 0.8:
        body = built(made[row.name].make())
    if rng.random() < 0.5:
        digest = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    target = (
        row.target.replace("uploadId", f"uploadId={upload}") if rng.random() < 0.7 else row.target
    )
    attempt = Attempt(
        row.method,
        target,
        {**row.headers, **digest},
        body,
        rng.choice(WHO),
        rng.choice(HOWS),
        rng.choice(PAYLOADS),
        "",
    )
    for _ in range(rng.randrange(4)):
        attempt = change(rng, attempt)
    return attempt


def change(rng: random.Random, attempt: Attempt) -> Attempt:
    path, _, query = attempt.target.partition("?")
    match rng.choice((0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 5, 5, 6)):
        case 0:
            return replace(attempt, method=rng.choice(METHODS))
        case 1:
            return replace(attempt, target=rng.choice(PATHS) + (f"?{query}" if query else ""))
        case 2:
            pair = f"{rng.choice(QUERY_KEYS)}={rng.choice(VALUES)}"
            return replace(attempt, target=f"{path}?{query}&{pair}" if query else f"{path}?{pair}")
        case 3:
            header = {rng.choice(HEADERS): rng.choice(HEADER_VALUES)}
            return replace(attempt, headers={**attempt.headers, **header})
        case 5:
            at = rng.randrange(len(attempt.body) + 1)
            noise = rng.randbytes(rng.randrange(4))
            return replace(attempt, body=attempt.body[:at] + noise + attempt.body[at + 1 :])
        case _:
            return replace(attempt, damage=rng.choice(("signature", "date", "cut", "raw target")))


async def send(store: Store, rng: random.Random, attempt: Attempt) -> Answer:
    """Sign and send; some damage comes after the signature."""
    client = store.client(attempt.who)
    unsigned: dict[str, str] = {}
    if attempt.damage == "signature":
        unsigned = {"authorization": "AWS4-HMAC-SHA256 " + rng.choice(VALUES)}
    if attempt.damage == "date":
        unsigned = {"x-amz-date": rng.choice(HEADER_VALUES)}
    headers = attempt.headers
    if attempt.damage in ("cut", "raw target") or not is_signable(attempt):
        sent = {"host": "s3.test", **headers}
        cut = attempt.damage == "cut"
        return await client.send(attempt.method, attempt.target, sent, attempt.body, cut=cut)
    return await client(
        attempt.method,
        attempt.target,
        body=attempt.body,
        headers=headers,
        unsigned=unsigned,
        how=attempt.how,
        payload=attempt.payload,
    )


def is_signable(attempt: Attempt) -> bool:
    """Tell whether botocore can sign it: it refuses some of what can be sent."""
    given = "".join(attempt.headers.values())
    own = {"x-amz-date", "x-amz-content-sha256", "authorization", "host"} & set(attempt.headers)
    return attempt.target[:1] == "/" and not own and given.isprintable() and given.isascii()


def check(attempt: Attempt, answer: Answer) -> None:
    assert answer.status < 500 or answer.status in ALLOWED_5XX, attempt
    assert answer.header("x-amz-request-id"), attempt
    if answer.status < 400 or attempt.method == "HEAD":
        return
    assert answer.header("content-type") == "application/xml", attempt
    assert answer.header("content-length") == str(len(answer.body)), attempt
    document = answer.document
    assert document.tag in ("Error", "ErrorResponse"), attempt
    prefix = "" if document.tag == "Error" else "Error/"
    assert document.findtext(f"{prefix}Code"), attempt
    assert document.findtext(f"{prefix}Message") is not None, attempt
    assert document.findtext("RequestId") == answer.header("x-amz-request-id"), attempt


@pytest.mark.parametrize("seed", range(4))
async def test_no_request_causes_a_traceback(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    statuses: Counter[int] = Counter()
    upload, made = "", documents(seed)
    structlog.reset_defaults()
    with capture_logs() as logs:
        for number in range(REQUESTS):
            if number % 100 == 0:  # what the requests destroyed is made again
                await store.root("PUT", "/data", headers={"x-amz-acl": "public-read-write"})
                await store.root("PUT", "/data/key", body=b"content")
                upload = await begin(store.root, "/data/key")
            attempt = draw(rng, upload, made)
            answer = await send(store, rng, attempt)
            check(attempt, answer)
            statuses[answer.status] += 1
    assert [log for log in logs if log["log_level"] in ("error", "critical")] == []
    # Enough of them have to get past the door for this to mean something.
    assert statuses[200] + statuses[204] + statuses[206] > REQUESTS / 12, statuses
    assert {400, 403, 404, 405, 411, 501} <= set(statuses), statuses
