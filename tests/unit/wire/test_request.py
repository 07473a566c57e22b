"""Headers, targets and queries: every byte string has one defined reading or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.errors import S3Error
from s3server.model import HttpRequest, Target
from s3server.wire.request import find_target, parse_query, read_request

DOMAINS = ("s3.example.org", "example.org")


def scope(*headers: tuple[str, str], path: bytes = b"/b/k", host: str = "localhost") -> Any:
    named = [("host", host), *headers] if host else list(headers)
    return {
        "method": "GET",
        "raw_path": path,
        "query_string": b"a=1",
        "scheme": "http",
        "client": ("192.0.2.1", 1234),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named],
    }


def refusal(*headers: tuple[str, str], path: bytes = b"/b/k", host: str = "localhost") -> str:
    with pytest.raises(S3Error) as caught:
        read_request(scope(*headers, path=path, host=host))
    return caught.value.code


def target(path: str, host: str = "localhost:9000") -> tuple[str | None, str | None] | str:
    request = HttpRequest("GET", path, "", {"host": host})
    try:
        found = find_target(request, DOMAINS)
    except S3Error as error:
        return error.code
    return found.bucket, found.key


def test_request_keeps_what_was_sent() -> None:
    assert read_request(scope(("range", "bytes=0-1"), path=b"/b//a/../%2Fk")) == HttpRequest(
        method="GET",
        raw_path="/b//a/../%2Fk",
        query="a=1",
        headers={"host": "localhost", "range": "bytes=0-1"},
        scheme="http",
        client="192.0.2.1",
    )


@pytest.mark.parametrize(
    "name",
    [
        "content-length",
        "content-type",
        "authorization",
        "range",
        "date",
        "content-md5",
        "expect",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "x-amz-acl",
        "x-amz-copy-source",
    ],
)
def test_repeated_single_header_is_refused(name: str) -> None:
    assert refusal((name, "1"), (name, "1")) == "InvalidArgument"


def test_two_hosts_are_refused() -> None:
    assert refusal(("host", "localhost")) == "InvalidArgument"


def test_repeated_metadata_is_joined() -> None:
    request = read_request(scope(("x-amz-meta-a", "1"), ("x-amz-meta-a", "2"), ("accept", "*")))
    assert request.headers["x-amz-meta-a"] == "1,2"


def test_list_header_may_be_sent_item_by_item() -> None:
    name = "x-amz-object-attributes"
    request = read_request(scope((name, "ETag"), (name, "ObjectSize")))
    assert request.headers[name] == "ETag,ObjectSize"


def test_more_than_100_headers_are_refused() -> None:
    many = [(f"x-{number}", "1") for number in range(99)]
    assert len(read_request(scope(*many)).headers) == 100
    assert refusal(*many, ("one", "more")) == "RequestHeaderSectionTooLarge"


@pytest.mark.parametrize(
    "host", ["", "a/b", "a?x=", "a b", "a@b", "a:b", "a,b", "[::1", "é", "a\r\nb", "a:123456"]
)
def test_missing_or_malformed_host_is_refused(host: str) -> None:
    assert refusal(host=host) == "InvalidRequest"


@pytest.mark.parametrize("host", ["a", "a:80", "192.0.2.1:9000", "[2001:db8::1]:9000", "a_b.c-d"])
def test_host_is_accepted(host: str) -> None:
    assert read_request(scope(host=host)).headers["host"] == host


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"http://localhost/b/k", "/b/k"),
        (b"https://LOCALHOST", "/"),
        (b"http://other/b/k", "InvalidRequest"),
        (b"*", "InvalidURI"),
        (b"ftp://localhost/b", "InvalidURI"),
        (b"b/k", "InvalidURI"),
        (b"", "InvalidURI"),
        ("/b/é".encode(), "InvalidURI"),
    ],
)
def test_request_target_forms(path: bytes, expected: str) -> None:
    try:
        found = read_request(scope(path=path)).raw_path
    except S3Error as error:
        found = error.code
    assert found == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", (None, None)),
        ("/bucket", ("bucket", None)),
        ("/bucket/", ("bucket", None)),
        ("/bucket/a", ("bucket", "a")),
        ("/bucket/a/", ("bucket", "a/")),
        ("/bucket/a/b", ("bucket", "a/b")),
        ("/bucket//", ("bucket", "/")),
        ("/bucket//a", ("bucket", "/a")),
        ("/bucket/..", ("bucket", "..")),
        ("/bucket/../other/key", ("bucket", "../other/key")),
        ("/bucket/./a", ("bucket", "./a")),
        ("/bucket/%2e%2e/a", ("bucket", "../a")),
        ("/bucket/a%2Fb", ("bucket", "a/b")),
        ("/bucket/a%252Fb", ("bucket", "a%2Fb")),
        ("/bucket/%2F", ("bucket", "/")),
        ("/bucket/a+b", ("bucket", "a+b")),
        ("/bucket/a%20b", ("bucket", "a b")),
        ("/bucket/a\\b%5c", ("bucket", "a\\b\\")),
        ("/bucket/%0D%0A", ("bucket", "\r\n")),
        ("/bucket/%F0%9F%92%BE", ("bucket", "\N{FLOPPY DISK}")),
        ("/a%2Fb/key", ("a/b", "key")),
        ("/./key", (".", "key")),
        ("//x", "InvalidBucketName"),
        ("//", "InvalidBucketName"),
        ("/bucket/%00", "InvalidURI"),
        ("/bucket/%", "InvalidURI"),
        ("/bucket/%2", "InvalidURI"),
        ("/bucket/%zz", "InvalidURI"),
        ("/bucket/%FF", "InvalidURI"),
        ("/bucket/%C0%AF", "InvalidURI"),
        ("/bucket/%ED%A0%80", "InvalidURI"),
        ("/%FF/key", "InvalidURI"),
        ("/bucket/" + "a" * 1_024, ("bucket", "a" * 1_024)),
        ("/bucket/" + "%C3%A9" * 512, ("bucket", "é" * 512)),
        ("/bucket/" + "a" * 1_025, "KeyTooLongError"),
        ("/bucket/" + "%C3%A9" * 512 + "a", "KeyTooLongError"),
    ],
)
def test_path_style_target(path: str, expected: object) -> None:
    assert target(path) == expected


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("bucket.s3.example.org", "/", ("bucket", None)),
        ("bucket.s3.example.org:9000", "/a", ("bucket", "a")),
        ("my.dotted.s3.example.org", "/a", ("my.dotted", "a")),
        ("BUCKET.S3.Example.Org", "/a", ("bucket", "a")),
        ("bucket.s3.example.org", "//a", ("bucket", "/a")),
        ("bucket.s3.example.org", "/other/key", ("bucket", "other/key")),
        ("bucket.example.org", "/a", ("bucket", "a")),
        ("s3.example.org", "/bucket/a", ("bucket", "a")),
        ("example.org:9000", "/bucket/a", ("bucket", "a")),
        ("notexample.org", "/bucket/a", ("bucket", "a")),
        ("[2001:db8::1]:9000", "/bucket/a", ("bucket", "a")),
    ],
)
def test_virtual_host_target(host: str, path: str, expected: object) -> None:
    assert target(path, host) == expected


def test_key_too_long_says_the_sizes() -> None:
    with pytest.raises(S3Error) as caught:
        find_target(HttpRequest("GET", "/b/" + "a" * 1_025, "", {"host": "a"}), ())
    assert caught.value.fields == {"Size": "1025", "MaxSizeAllowed": "1024"}


@given(st.binary(min_size=1, max_size=40))
def test_any_escaped_bytes_are_a_key_or_refused(raw: bytes) -> None:
    path = "/b/" + "".join(f"%{byte:02X}" for byte in raw)
    try:
        key = raw.decode()
    except UnicodeDecodeError:
        assert target(path) == "InvalidURI"
    else:
        assert target(path) == ("InvalidURI" if "\0" in key else ("b", key))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("acl", {"acl": ""}),
        ("acl=", {"acl": ""}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("&&a=1&", {"a": "1"}),
        ("prefix=a+b%20c%2Bd", {"prefix": "a b c+d"}),
        ("a%26b=%3D", {"a&b": "="}),
        ("prefix=%C3%A9", {"prefix": "é"}),
        ("prefix=%250A", {"prefix": "%0A"}),
    ],
)
def test_query_is_decoded_once(query: str, expected: dict[str, str]) -> None:
    assert parse_query(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&a=1", "InvalidArgument"),
        ("acl&%61cl=1", "InvalidArgument"),
        ("&".join(f"a{number}=1" for number in range(101)), "InvalidArgument"),
        ("prefix=%FF", "InvalidURI"),
        ("prefix=%00", "InvalidURI"),
        ("prefix=%", "InvalidURI"),
        ("prefix=%ED%A0%80", "InvalidURI"),
    ],
)
def test_query_is_refused(query: str, expected: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_query(query)
    assert caught.value.code == expected


def test_level_follows_the_target() -> None:
    levels = [Target(None, None).level, Target("b", None).level, Target("b", "k").level]
    assert levels == ["service", "bucket", "object"]
