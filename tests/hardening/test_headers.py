"""Headers that come twice, or that would become two.

Source: hardening reference, 4.4 (CVE-2020-10753, CVE-2021-3524, CVE-2015-5245, CVE-2025-27088).
"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.asgi_client import Answer
from tests.support.served import Store
from tests.support.signing import Key, sign

KEY = Key("AKIAALICE", "secret-of-alice")
SINGLE = [
    "host",
    "authorization",
    "content-length",
    "content-type",
    "content-md5",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-acl",
    "x-amz-copy-source",
    "range",
    "if-match",
    "x-amz-decoded-content-length",
]


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("second", ["same", "other"])
async def test_header_that_may_come_once_is_refused_twice(
    data: Store, name: str, second: str
) -> None:
    url = "http://s3.test/data/key"
    signed = sign("PUT", url, {}, key=KEY, at=data.clock.now(), payload="UNSIGNED-PAYLOAD")
    pairs = [*signed.headers.items(), ("host", "s3.test"), ("content-length", "0")]
    known = dict(pairs)
    if name not in known:
        pairs.append((name, "first"))
    pairs.append((name, known.get(name, "first") if second == "same" else "0"))
    with data.untouched():
        answer = await data.nobody.send("PUT", "/data/key", pairs)
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == name


async def test_metadata_that_comes_twice_is_joined(data: Store) -> None:
    """Source: RFC 9110, 5.2, and "Working with object metadata"."""
    signed = sign(
        "PUT",
        "http://s3.test/data/key",
        {"x-amz-meta-a": "1,2"},
        key=KEY,
        at=data.clock.now(),
        payload="UNSIGNED-PAYLOAD",
    )
    pairs = [pair for pair in signed.headers.items() if pair[0] != "x-amz-meta-a"]
    pairs += [("host", "s3.test"), ("content-length", "0")]
    pairs += [("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]
    assert (await data.nobody.send("PUT", "/data/key", pairs)).status == 200
    assert (await data.alice("HEAD", "/data/key")).header("x-amz-meta-a") == "1,2"


async def test_parameter_that_comes_twice_is_refused(data: Store) -> None:
    with data.untouched():
        answer = await data.alice("GET", "/data?prefix=a&prefix=b")
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "prefix"


async def test_number_of_headers_and_parameters_is_limited(data: Store) -> None:
    many = [("host", "s3.test"), *((f"x-{number}", "1") for number in range(100))]
    headers = await data.nobody.send("GET", "/data", many)
    assert headers.outcome == (400, "RequestHeaderSectionTooLarge")
    query = "&".join(f"a{number}=1" for number in range(101))
    parameters = await data.nobody("GET", f"/data?{query}")
    assert parameters.outcome == (400, "InvalidArgument")


BREAKS = [
    "\r\nset-cookie: a=b",
    "\nset-cookie: a=b",
    "\rset-cookie: a=b",
    "a\x00b",
    "\x7f",
    "\x1b[1m",
]
HEADERS = ["content-type", "cache-control", "content-disposition", "content-language", "expires"]
HEADERS += ["content-encoding", "x-amz-meta-a"]


def assert_not_split(answer: Answer) -> None:
    assert answer.header("set-cookie") is None
    for name, value in answer.headers:
        assert name.isascii()
        assert not any(ord(character) < 32 or ord(character) == 127 for character in value), name


@pytest.mark.parametrize("text", BREAKS)
@pytest.mark.parametrize("name", HEADERS)
async def test_stored_header_never_splits_an_answer(data: Store, name: str, text: str) -> None:
    """The HTTP parser refuses these; the application must not depend on it."""
    url = "http://s3.test/data/key"
    signed = sign("PUT", url, {}, key=KEY, at=data.clock.now(), payload="UNSIGNED-PAYLOAD")
    pairs = [*signed.headers.items(), ("host", "s3.test"), ("content-length", "0"), (name, text)]
    answer = await data.nobody.send("PUT", "/data/key", pairs)
    assert_not_split(answer)
    assert answer.status in (400, 403)


@pytest.mark.parametrize("text", BREAKS)
@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "content-language",
        "expires",
        "cache-control",
        "content-disposition",
        "content-encoding",
    ],
)
async def test_override_never_splits_an_answer(data: Store, name: str, text: str) -> None:
    await data.alice.made("/data/key", body=b"x")
    value = quote("text" + text, safe="")
    for method in ("GET", "HEAD"):
        answer = await data.alice(method, f"/data/key?response-{name}={value}")
        assert_not_split(answer)
        assert answer.status == 400
        if method == "GET":
            assert answer.code in ("InvalidArgument", "InvalidURI")


@pytest.mark.parametrize("text", BREAKS)
async def test_encoded_words_never_split_an_answer(data: Store, text: str) -> None:
    """RFC 2047 hides control characters from whoever looks at the header only."""
    word = "=?UTF-8?Q?" + "".join(f"={byte:02X}" for byte in text.encode()) + "?="
    await data.alice.made("/data/key", body=b"x", headers={"x-amz-meta-a": word})
    answer = await data.alice("GET", "/data/key")
    assert_not_split(answer)
    assert (answer.status, answer.body) == (200, b"x")


@pytest.mark.parametrize("name", ["a%20b", "a%0d%0ab", "a%3Ab", "%C3%A9", "a%22"])
async def test_metadata_name_of_a_link_that_no_header_can_have_is_refused(
    data: Store, name: str
) -> None:
    """Stored, it would make every answer about the object a fault."""
    with data.untouched():
        answer = await data.alice("PUT", f"/data/key?x-amz-meta-{name}=1", body=b"x", how="query")
    assert answer.outcome == (400, "InvalidArgument")


async def test_metadata_of_a_link_is_unicode(data: Store) -> None:
    target = "/data/key?x-amz-meta-price=10%20%E2%82%AC"
    assert (await data.alice("PUT", target, body=b"x", how="query")).status == 200
    assert (await data.alice("HEAD", "/data/key")).header("x-amz-meta-price") == "10 €"


@pytest.mark.parametrize("text", BREAKS[:3])
async def test_names_never_split_an_answer(data: Store, text: str) -> None:
    key = quote("key" + text, safe="")
    for method, target in (
        ("PUT", f"/data/{key}"),
        ("GET", f"/data/{key}"),
        ("HEAD", f"/data/{key}"),
        ("POST", f"/data/{key}?uploads"),
        ("GET", f"/data?prefix={key}&delimiter={key}"),
        ("GET", f"/{key}"),
        ("PUT", f"/{key}"),
        ("GET", f"/data?{key}"),
    ):
        answer = await data.alice(method, target)
        assert_not_split(answer)
        assert answer.status < 500 or answer.status == 501


async def test_text_of_a_client_is_never_markup_in_an_answer(data: Store) -> None:
    """CVE-2025-27088: reflected markup in error documents."""
    script = "<script>alert(1)</script>"
    encoded = quote(script, safe="")
    for target in (f"/data/{encoded}", f"/{encoded}", f"/data?prefix={encoded}&max-keys={encoded}"):
        answer = await data.alice("GET", target)
        assert answer.status >= 400
        assert script.encode() not in answer.body
        assert answer.header("content-type") == "application/xml"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.document.tag == "Error"
    await data.alice.made(f"/data/{encoded}", body=b"x")
    listed = await data.alice("GET", f"/data?prefix={encoded}")
    assert script.encode() not in listed.body
    assert listed.texts("Contents/Key") == [script]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_origin_is_never_reflected(data: Store, origin: str) -> None:
    """CVE-2026-46685."""
    answer = await data.alice("GET", "/data", headers={"origin": origin})
    names = {name for name, _ in answer.headers}
    assert not {name for name in names if name.startswith("access-control-")}


@pytest.mark.parametrize("name", ["x-forwarded-for", "x-real-ip", "forwarded", "x-amz-meta-userid"])
async def test_headers_give_nobody_a_name(data: Store, name: str) -> None:
    with data.untouched():
        answer = await data.nobody("GET", "/data", headers={name: "127.0.0.1", "userid": "root"})
    assert answer.outcome == (403, "AccessDenied")


# What gateways and replication of other servers tell each other in headers.
INTERNAL = {
    "x-amz-meta-x-internal-encryption": "none",
    "x-amz-meta-x-internal-storage-class": "GLACIER",
    "x-amz-meta-x_internal_owner": "root",
    "x-amz-meta-x-amz-object-lock-mode": "COMPLIANCE",
    "x-amz-replication-status": "REPLICA",
    "x-amz-version-id": "null",
    "x-amz-delete-marker": "true",
    "x-amz-mp-parts-count": "9",
    "x-minio-source-etag": "0" * 32,
    "x-minio-replication-server-side-encryption-sealed-key": "key",
    "x-backend-owner": "root",
    "x-object-sysmeta-crypto-body-meta": "{}",
    "x-container-read": ".r:*",
    "x-rgw-auth": "root",
    "x-s3server-principal": "root",
    "x-principal": "root",
}


async def test_no_name_of_a_header_reaches_what_the_server_keeps(data: Store) -> None:
    """CVE-2026-71192, CVE-2026-34204: headers of other doors set what clients must not."""
    bucket = (await data.services.buckets.find("data") or [None])[0]
    assert bucket is not None
    await data.alice.made("/data/plain", body=b"x")
    plain = await data.services.objects.find(bucket, "plain")
    assert plain is not None
    for name, value in INTERNAL.items():
        for sent in (name, name.upper(), name.replace("-", "_")):
            await data.alice.made("/data/key", body=b"x", headers={sent: value})
            found = await data.services.objects.find(bucket, "key")
            assert found is not None
            kept = {"sequence", "modified_ms", "blob", "metadata"}
            told = {field: getattr(found, field) for field in plain.__struct_fields__}
            assert {
                field for field, value in told.items() if value != getattr(plain, field)
            } <= kept, sent
