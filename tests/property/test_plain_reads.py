"""The short way of plain reads says what the server says, to the byte, or nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3server.core.records import (
    AccessKeyRecord,
    UserRecord,
    access_key_key,
    encode,
    user_key,
)
from s3server.meta.base import Put
from s3server.model import HttpRequest
from tests.support.asgi_client import HOST
from tests.support.served import Store, credential
from tests.support.signing import Key, sign
from tests.support.wired import Wire

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "%s", "Principal": "*",
"Action": "s3:GetObject", "Resource": "arn:aws:s3:::%s/*"}]}"""
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
BUCKETS = ("plain", "denied", "opened", "versioned")
OBJECTS: dict[str, dict[str, str]] = {
    "plain": {},
    "a/b.csv": {"content-type": "text/csv"},
    "described": {"x-amz-meta-mtime": "1.5", "x-amz-meta-who": "A. N. Other"},
    "summed": {"x-amz-checksum-algorithm": "CRC32C"},
    "public": {"x-amz-acl": "public-read"},
    "dir/": {},
    "caf\u00e9 = 1+1?": {},
    "cached": {"cache-control": "no-cache"},
    "accents": {"x-amz-meta-city": "Orl\u00e9ans"},
    "word": {"x-amz-meta-word": "=?utf-8?q?caf=C3=A9?="},
    "tagged": {"x-amz-tagging": "a=b"},
    "cold": {"x-amz-storage-class": "STANDARD_IA"},
    "sealed": {"x-amz-server-side-encryption": "AES256"},
}
AT_ONCE = ("plain", "a/b.csv", "described", "summed", "public", "dir/", "caf\u00e9 = 1+1?")

# Fields that change an answer, or might, with values that do and that do not.
MORE = (
    {"Range": "bytes=1-3"},
    {"If-None-Match": '"25f9e794323b453885f5181f1b624d0b"'},
    {"If-Match": "*"},
    {"x-amz-checksum-mode": "ENABLED"},
    {"x-amz-checksum-mode": "other"},
    {"x-amz-expected-bucket-owner": "nobody"},
    {"x-amz-security-token": "token"},
    {"x-amz-request-payer": "requester"},
    {"Origin": "https://site.test"},
    {"Want-Digest": "md5"},
    {"X-Forwarded-Host": "other.test"},
    {"User-Agent": "a  b"},
    {"User-Agent": " a"},
    {"User-Agent": ""},
    {"User-Agent": "a\tb"},
    {"User-Agent": "\u00e9"},
    {"Accept-Encoding": "identity"},
    {"Connection": "keep-alive"},
    {"Connection": "close"},
    {"Content-Length": "0"},
    {"Content-Length": "3"},
    {"Transfer-Encoding": "chunked"},
    {"Expect": "100-continue"},
    {"Host": "web.test"},
    {"x-amz-meta-a": "b"},
)
TARGETS = ("", "/", "//", "?versionId=null", "?partNumber=1", "?tagging", "?x-id=GetObject", "%20")


class Both:
    """A connection that goes the short way where it can, and one that never does."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = Store(storage_classes={"STANDARD_IA": "default"})
        self.loop.run_until_complete(self._fill())
        self.was_short = False

    async def _fill(self) -> None:
        alice = self.store.alice
        for bucket in BUCKETS:
            await alice.made(f"/{bucket}", headers={"x-amz-object-ownership": "ObjectWriter"})
        await alice.sent("/versioned?versioning", VERSIONED)
        for bucket in BUCKETS:
            for key, headers in OBJECTS.items():
                body = b"" if key.endswith("/") else b"123456789"
                await alice.made(f"/{bucket}/{quote(key)}", body=body, headers=headers)
        for bucket, effect in (("denied", "Deny"), ("opened", "Allow")):
            await alice.sent(f"/{bucket}?policy", (POLICY % (effect, bucket)).encode())

    def _at_once(self, request: HttpRequest) -> tuple[bytes, bytes] | None:
        answer = self.store.plain_reads(request)
        self.was_short = answer is not None
        return answer

    def ask(self, request: bytes) -> bytes:
        """Return the one answer that both give; the test fails where they differ."""

        async def ask() -> tuple[bytes, bytes]:
            short, long = Wire(self.store, self._at_once), Wire(self.store)
            answers = await short.ask(request), await long.ask(request)
            assert short.transport.is_closed == long.transport.is_closed
            return answers

        self.was_short = False
        short, long = self.loop.run_until_complete(ask())
        assert _without_id(long) == _without_id(short)
        return long

    def request(
        self,
        method: str,
        target: str,
        *,
        who: str | None = "alice",
        more: Mapping[str, str] | None = None,
        late_s: int = 0,
        payload: str = EMPTY,
    ) -> bytes:
        """Return a request, signed, as its bytes; `more` are fields that are not signed."""
        headers = {"host": HOST}
        if who is not None:
            known = credential(who)
            key = Key(known.access_key_id, known.secret)
            at = self.store.clock.now() - timedelta(seconds=late_s)
            url = f"http://{HOST}{target}"
            signed = sign(method, url, headers, key=key, at=at, payload=payload)
            target, headers = signed.target, signed.headers
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (headers | dict(more or {})).items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _without_id(answer: bytes) -> bytes:
    answer = re.sub(rb"x-amz-request-id: [0-9A-F]{16}", b"", answer)
    return re.sub(rb"<RequestId>[0-9A-F]{16}", b"", answer)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    found = Both()
    yield found
    found.loop.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("key", AT_ONCE)
def test_plain_read_is_answered_at_once(both: Both, method: str, key: str) -> None:
    answer = both.ask(both.request(method, f"/plain/{quote(key)}"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert both.was_short


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("key", OBJECTS)
def test_whatever_an_object_has_is_told(both: Both, bucket: str, key: str) -> None:
    for more in ({}, {"x-amz-checksum-mode": "ENABLED"}):
        for method in ("GET", "HEAD"):
            both.ask(both.request(method, f"/{bucket}/{quote(key)}", more=more))


def test_fault_of_ours_is_left_to_the_server(both: Both) -> None:
    who = credential("bob")
    user = UserRecord(id=who.principal.id, name="bob", account="", created_ms=0)
    sealed = AccessKeyRecord(
        id="AKIASEALED", user=user.id, sealed_secret=b"other key", created_ms=0
    )
    rows = [Put(user_key(user.id), encode(user)), Put(access_key_key(sealed.id), encode(sealed))]
    both.loop.run_until_complete(both.store.meta.commit(rows))
    request = both.request("GET", "/plain/plain", who="bob").replace(
        who.access_key_id.encode(), sealed.id.encode()
    )
    assert both.ask(request).startswith(b"HTTP/1.1 500 ")


def test_reads_of_others_are_answered_at_once_where_acl_or_policy_lets_them(both: Both) -> None:
    for target, who in (
        ("/plain/public", None),
        ("/opened/plain", "bob"),
        ("/plain/dir/", "root"),
        ("/versioned/plain", "root"),
    ):
        assert both.ask(both.request("GET", target, who=who)).startswith(b"HTTP/1.1 200 ")
        assert both.was_short


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"]),
    bucket=st.sampled_from([*BUCKETS, "absent", "-", "Not_A_Bucket"]),
    key=st.sampled_from(
        [*map(quote, OBJECTS), "absent", "a%2Fb", "a%2Fb.csv", "%2e", "%zz", "%00"]
    ),
    more=st.lists(st.sampled_from(MORE), max_size=2),
    who=st.sampled_from([None, "alice", "bob", "root", "stranger"]),
    late_s=st.sampled_from([0, 0, 0, 899, 901, -901]),
    payload=st.sampled_from([EMPTY, "UNSIGNED-PAYLOAD", "0" * 64, "no hash"]),
    target=st.sampled_from(TARGETS),
)
@settings(max_examples=400, deadline=None)
def test_short_way_says_what_the_server_says(both: Both, **given_fields) -> None:
    fields = dict(given_fields)
    method, bucket, key = (fields.pop(name) for name in ("method", "bucket", "key"))
    if method not in {"GET", "HEAD"}:  # these are to leave everything as it is
        bucket = "absent"
    more = {name: value for each in fields.pop("more") for name, value in each.items()}
    target = f"/{bucket}/{key}{fields.pop('target')}"
    both.ask(both.request(method, target, more=more, **fields))


@given(
    at=st.integers(0, 400),
    what=st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\0", b"\x7f", b"\xff", b":", b"A", b"%"]),
    cut=st.integers(0, 2),
)
@settings(max_examples=600, deadline=None)
def test_damaged_requests_are_taken_by_neither_or_alike(
    both: Both, at: int, what: bytes, cut: int
) -> None:
    request = both.request("GET", "/plain/plain", more={"User-Agent": "probe"})
    both.ask(request[:at] + what + request[at + cut :])


def test_second_request_of_one_read_is_answered_too(both: Both) -> None:
    request = both.request("GET", "/plain/plain")
    assert both.ask(request * 3).count(b"HTTP/1.1 200 ") == 3
