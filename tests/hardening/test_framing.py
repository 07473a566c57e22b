"""HTTP framing against a real server: what two parsers could read in two ways is refused.

Source: hardening reference, 4.5 (the table of what httptools and h11 accept), rows 52 to 57.
"""

from __future__ import annotations

import hashlib
import socket
from datetime import UTC, datetime

import pytest

from tests.support.raw_http import RawAnswer, connect, exchange, head_of, read_answer
from tests.support.server_process import RunningServer
from tests.support.signing import Key, sign

BAD = {
    "length and chunked": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n",
    "same length twice": "Content-Length: 5\r\nContent-Length: 5\r\n",
    "two hosts": "Host: other\r\n",
    "folded": "X-A: 1\r\n 2\r\n",
    "signed length": "Content-Length: +5\r\n",
    "negative length": "Content-Length: -1\r\n",
    "length with underscore": "Content-Length: 1_0\r\n",
    "endless length": "Content-Length: " + "1" * 23 + "\r\n",
    "blank before colon": "Content-Length : 5\r\n",
    "nul in a value": "X-A: a\x00b\r\n",
    "carriage return in a value": "X-A: a\rb\r\n",
    "unknown transfer coding": "Transfer-Encoding: xchunked\r\n",
    "header section of 9 KiB": "X-A: " + "a" * 9_000 + "\r\n",
    "header section of 200 KiB": "X-A: " + "a" * 200_000 + "\r\n",
    "101 headers": "".join(f"X-{number}: 1\r\n" for number in range(101)),
}


def request(extra: str, method: str = "GET", target: str = "/", body: bytes = b"") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode("latin-1") + body


@pytest.mark.parametrize("what", sorted(BAD))
def test_framing_that_is_ambiguous_is_refused(server: RunningServer, what: str) -> None:
    answer = exchange(server.endpoint, request(BAD[what]))
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert b"<Error><Code>" in answer.body


SMUGGLED = b"0\r\n\r\nGET /-/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("what", ["length and chunked", "two lengths", "unknown transfer coding"])
def test_request_behind_a_refused_one_is_never_answered(server: RunningServer, what: str) -> None:
    """CVE-2022-32213: request smuggling."""
    with connect(server.endpoint) as connection:
        connection.sendall(request(BAD[what], "POST", body=SMUGGLED))
        answer = read_answer(connection)
        assert answer.status == 400
        rest = answer.rest + drain(connection)
    assert rest == b""


def drain(connection: socket.socket) -> bytes:
    """Return all that still comes before the server closes."""
    found = b""
    try:
        while more := connection.recv(65_536):
            found += more
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\xff HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
        b"GET /a b HTTP/1.1",
    ],
)
def test_request_line_that_is_none_is_refused(server: RunningServer, line: bytes) -> None:
    answer = exchange(server.endpoint, line + b"\r\nHost: localhost\r\n\r\n", half_close=True)
    assert answer.status == 400


def signed_put(server: RunningServer, body: bytes, headers: dict[str, str]) -> dict[str, str]:
    key = Key(server.access_key, server.secret_key, server.region)
    return sign(
        "PUT",
        f"{server.endpoint}/framing/key",
        {"host": server.endpoint.partition("://")[2], **headers},
        key=key,
        at=datetime.now(UTC),
        payload=hashlib.sha256(body).hexdigest(),
    ).headers


def put(server: RunningServer, body: bytes, sent: bytes, headers: dict[str, str]) -> RawAnswer:
    signed = signed_put(server, body, headers)
    return exchange(server.endpoint, head_of("PUT", "/framing/key", signed) + sent)


@pytest.fixture(scope="module")
def bucket(server: RunningServer) -> RunningServer:
    """A server with the bucket "framing"."""
    key = Key(server.access_key, server.secret_key, server.region)
    signed = sign(
        "PUT",
        f"{server.endpoint}/framing",
        {"host": server.endpoint.partition("://")[2], "content-length": "0"},
        key=key,
        at=datetime.now(UTC),
        payload=hashlib.sha256(b"").hexdigest(),
    )
    assert exchange(server.endpoint, head_of("PUT", "/framing", signed.headers)).status == 200
    return server


def test_body_cut_by_a_client_that_waits_is_incomplete(bucket: RunningServer) -> None:
    signed = signed_put(bucket, b"content", {"content-length": "7"})
    head = head_of("PUT", "/framing/key", signed)
    answer = exchange(bucket.endpoint, head + b"cont", half_close=True)
    assert (answer.status, b"<Code>IncompleteBody</Code>" in answer.body) == (400, True)


def test_wrong_signature_is_answered_before_the_body(bucket: RunningServer) -> None:
    """Expect: 100-continue with bad credentials: 403, and no 100."""
    signed = signed_put(bucket, b"", {"content-length": "1000000", "expect": "100-continue"})
    signed["authorization"] = signed["authorization"][:-4] + "0000"
    answer = exchange(bucket.endpoint, head_of("PUT", "/framing/key", signed))
    assert answer.status == 403
    assert answer.headers["connection"] == "close"


def test_expected_continue_is_sent_before_the_body(bucket: RunningServer) -> None:
    body = b"content"
    signed = signed_put(bucket, body, {"content-length": "7", "expect": "100-continue"})
    with connect(bucket.endpoint) as connection:
        connection.sendall(head_of("PUT", "/framing/key", signed))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert read_answer(connection).status == 200


def test_two_requests_on_one_connection_are_answered_in_order(bucket: RunningServer) -> None:
    signed = signed_put(bucket, b"one", {"content-length": "3"})
    with connect(bucket.endpoint) as connection:
        request_bytes = head_of("PUT", "/framing/key", signed) + b"one"
        connection.sendall(request_bytes + request(""))
        first = read_answer(connection)
        assert first.status == 200
        second = first.rest or connection.recv(65_536)
    assert second.startswith(b"HTTP/1.1 403")


def test_absolute_target_is_a_target(server: RunningServer) -> None:
    answer = exchange(server.endpoint, request("", target="http://localhost/"))
    assert answer.status == 403
    evil = exchange(server.endpoint, request("", target="http://evil/"))
    assert evil.status == 400


@pytest.mark.parametrize("path", ["/-/health/live", "/-/health/ready"])
def test_health_is_told_to_everybody(server: RunningServer, path: str) -> None:
    assert exchange(server.endpoint, request("", target=path)).status == 200


def test_unknown_paths_of_the_server_tell_nothing(server: RunningServer) -> None:
    paths = ("/-/", "/-/metrics/", "/-/debug", "/-/admin", "/-/health", "/-/../etc/passwd")
    for path in (*paths, "/-/health/live/"):  # a redirect would name the Host that was sent
        answer = exchange(server.endpoint, request("", target=path))
        assert (path, answer.status) == (path, 404)
        assert server.secret_key.encode() not in answer.body
