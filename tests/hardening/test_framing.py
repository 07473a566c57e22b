"""HTTP framing against a real server: what two parsers could read in two ways is refused.

Source: hardening reference, 4.5 (the table of what httptools and h11 accept), rows 52 to 57.
"""

from __future__ import annotations

import hashlib
import re
import socket
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from tests.hardening.framing import REFUSED, SMUGGLED, TOO_LARGE, request
from tests.support.raw_http import RawAnswer, connect, exchange, head_of, read_answer
from tests.support.server_process import RunningServer
from tests.support.signing import UNSIGNED_CHUNKS, Key, sign, unsigned_chunks


def refusal(endpoint: str, sent: bytes) -> str:
    """Return the code with which a request is refused, once the server has closed."""
    with connect(endpoint) as connection:
        with suppress(ConnectionError):  # it may close before all was sent
            connection.sendall(sent)
        if not sent.endswith(b"\r\n\r\n"):
            connection.shutdown(socket.SHUT_WR)
        answer = read_answer(connection)
        assert drain(connection) == b""
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    found = re.search(rb"<Error><Code>(\w+)</Code>", answer.body)
    assert found
    return found[1].decode()


@pytest.mark.parametrize("what", REFUSED)
def test_framing_that_is_ambiguous_is_refused(server: RunningServer, what: str) -> None:
    assert refusal(server.endpoint, REFUSED[what]) in ("BadRequest", "RequestHeaderSectionTooLarge")


@pytest.mark.parametrize("what", TOO_LARGE)
def test_header_section_has_a_limit(server: RunningServer, what: str) -> None:
    assert refusal(server.endpoint, TOO_LARGE[what]) == "RequestHeaderSectionTooLarge"


def test_endless_header_is_refused_before_it_is_received(server: RunningServer) -> None:
    with connect(server.endpoint) as connection:
        sent = connection.send(request("X-A: " + "a" * 1_000)[:-4])
        with suppress(ConnectionError):
            while sent < 64 << 20:
                sent += connection.send(b"a" * (1 << 20))
        answer = read_answer(connection)
    assert (answer.status, b"RequestHeaderSectionTooLarge" in answer.body) == (400, True)


@pytest.mark.parametrize("what", ["length and chunked", "two lengths", "unknown transfer coding"])
def test_request_behind_a_refused_one_is_never_answered(server: RunningServer, what: str) -> None:
    """CVE-2022-32213: request smuggling."""
    with connect(server.endpoint) as connection:
        connection.sendall(REFUSED[what].replace(b"GET", b"POST") + SMUGGLED)
        answer = read_answer(connection)
        assert answer.status == 400
        assert answer.rest + drain(connection) == b""


def drain(connection: socket.socket) -> bytes:
    """Return all that still comes before the server closes."""
    found = b""
    try:
        while more := connection.recv(65_536):
            found += more
    except ConnectionResetError:
        pass
    return found


def test_two_slashes_are_no_authority(server: RunningServer) -> None:
    answer = exchange(server.endpoint, request(target="//evil/b"))
    assert (answer.status, b"InvalidBucketName" in answer.body) == (400, True)


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


def chunked_put(server: RunningServer, extension: bytes) -> RawAnswer:
    """Store "abcde" in aws-chunked framing that itself is sent in one chunk with an extension."""
    host = server.endpoint.partition("://")[2]
    signed = sign(
        "PUT",
        f"{server.endpoint}/framing/key",
        {"host": host, "x-amz-decoded-content-length": "5"},
        key=Key(server.access_key, server.secret_key, server.region),
        at=datetime.now(UTC),
        payload=UNSIGNED_CHUNKS,
    )
    body = unsigned_chunks(b"abcde", sizes=[5])
    head = head_of("PUT", "/framing/key", {**signed.headers, "transfer-encoding": "chunked"})
    end = b"\r\n0;d\r\nx-amz-meta-a: no\r\n\r\n"
    with connect(server.endpoint) as connection:
        with suppress(ConnectionError):
            connection.sendall(head + b"%x;%s\r\n%s" % (len(body), extension, body) + end)
        return read_answer(connection)


def test_chunk_extensions_and_trailers_mean_nothing(bucket: RunningServer) -> None:
    assert chunked_put(bucket, b"a=b;c=" + b"d" * 1_000).status == 200


def test_chunk_extensions_have_a_limit(bucket: RunningServer) -> None:
    answer = chunked_put(bucket, b"a=" + b"b" * (1 << 20))
    assert (answer.status, answer.headers["connection"]) == (400, "close")


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
