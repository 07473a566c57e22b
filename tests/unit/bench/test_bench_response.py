"""The response parser finds the end of a response wherever the pieces are cut."""

from __future__ import annotations

import hashlib

import pytest

from bench.response import Response, ResponseError, explained

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nETag: x\r\n\r\nhello world"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: y\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED


@pytest.mark.parametrize("raw", [SIZED, CHUNKED, CONTINUED], ids=["sized", "chunked", "continued"])
def test_a_response_ends_at_its_last_byte_wherever_it_is_cut(raw: bytes) -> None:
    for cut in range(1, len(raw)):
        response = Response()
        digest = hashlib.md5(usedforsecurity=False)
        response.begin(bodiless=False, digest=digest)
        assert not response.feed(raw[:cut])
        assert response.feed(raw[cut:])
        assert (200, 11) == (response.status, response.size)
        assert hashlib.md5(b"hello world", usedforsecurity=False).digest() == digest.digest()


def test_a_response_ends_at_its_last_byte_fed_singly() -> None:
    for raw in (SIZED, CHUNKED, CONTINUED):
        response = Response()
        ends = [response.feed(raw[at : at + 1]) for at in range(len(raw))]
        assert [False] * (len(raw) - 1) + [True] == ends


def test_head_has_no_body_whatever_its_length_says() -> None:
    response = Response()
    response.begin(bodiless=True)
    assert response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n")
    assert 0 == response.size


def test_no_content_has_no_body() -> None:
    assert Response().feed(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_a_closing_server_is_noticed() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 503 Slow Down\r\nconnection: close\r\nContent-Length: 0\r\n\r\n")
    assert (503, True) == (response.status, response.closes)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "neither"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "more bytes"),
    ],
)
def test_what_cannot_be_followed_is_an_error(raw: bytes, complaint: str) -> None:
    with pytest.raises(ResponseError, match=complaint):
        Response().feed(raw)


DOCUMENT = b"<?xml version='1.0'?><Error xmlns='http://s3/'><Code>%s</Code>%s<Key>k</Key></Error>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (DOCUMENT % (b"SlowDown", b"<Message>A &lt; B</Message>"), "SlowDown: A < B"),
        (DOCUMENT % (b"KMS.NotFoundException", b"<Message>No\nkey</Message>"),
         "KMS.NotFoundException: No key"),
        (DOCUMENT % (b"NoSuchKey", b"<Message/>"), "NoSuchKey"),
        (DOCUMENT % (b"NoSuchKey", b""), "NoSuchKey"),
        (b"<html>Bad gateway</html>", "b'<html>Bad gateway</html>'"),
        (DOCUMENT[:60], repr(DOCUMENT[:60])),
        (b"", "b''"),
        (b"x" * 1000, repr(b"x" * 400)),
    ],
)  # fmt: skip
def test_error_is_told_by_code_and_message(body: bytes, expected: str) -> None:
    assert explained(body) == expected


def test_delete_that_fails_in_part_is_told_by_its_first_error() -> None:
    body = b"<DeleteResult><Deleted><Key>a</Key></Deleted>%s</DeleteResult>" % (
        b"<Error><Key>b</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" * 2
    )
    assert explained(body) == "AccessDenied: Access Denied"
