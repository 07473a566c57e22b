"""Contract tests of the HTTP protocol: raw bytes to a real server, raw bytes back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3server.process import protocol
from tests.support.protocol_server import HOST, Running, code, get, put


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


# --- requests as the application sees them ------------------------------------------------------


def test_scope_has_the_raw_path_and_query_as_sent(server: Running) -> None:
    server.ask(get(b"//bucket//a/../b%2Fc+d%20e?prefix=a%2Fb&acl"))

    scope = server.app.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (
        b"//bucket//a/../b%2Fc+d%20e",
        b"prefix=a%2Fb&acl",
    )


def test_blanks_around_a_value_are_no_part_of_it(server: Running) -> None:
    server.ask(get(b"/", b"X-Amz-Meta-A: \t x y \t \r\n"))

    assert (b"x-amz-meta-a", b"x y") in server.app.scopes[0]["headers"]


def test_responses_carry_date_and_the_server_header_once(server: Running) -> None:
    _, headers, _ = server.ask(get())

    assert headers[b"server"] == b"s3server"
    assert headers[b"date"].endswith(b"GMT")


def test_connection_is_kept_for_the_next_request(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/1"))
        first = client.answer()
        client.send(get(b"/2"))
        second = client.answer()

    assert (first[2], second[2]) == (b"/1", b"/2")
    assert b"connection" not in first[1]


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    with server.connect() as client:
        client.send(b"".join(get(b"/%d" % number) for number in range(50)))
        bodies = [client.answer()[2] for _ in range(50)]

    assert bodies == [b"/%d" % number for number in range(50)]


def test_flood_of_requests_sent_ahead_is_cut_off(server: Running) -> None:
    with server.connect() as client:
        client.send(b"".join(get(b"/%d" % number) for number in range(1000)))
        answered = 0
        with contextlib.suppress(EOFError, ConnectionResetError):
            while client.answer():
                answered += 1

    assert 0 < answered <= protocol.EAGER + 1 + protocol.MAX_PIPELINED
    assert server.ask(get(b"/other"))[2] == b"/other"


def test_bodies_arrive_whole_whatever_pieces_they_come_in(server: Running) -> None:
    body = bytes(range(256)) * 20_000
    request = put(b"/read", body)
    with server.connect() as client:
        for start in range(0, 3000, 7):
            client.send(request[start : start + 7])
        client.send(request[start + 7 :])
        assert client.answer()[2] == b"%d" % len(body)

    assert server.app.bodies == [body]


def test_chunked_body_is_decoded_and_its_trailers_stay_out_of_the_headers(server: Running) -> None:
    _, _, body = server.ask(
        b"PUT /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nAuthorization: evil\r\n\r\n"
    )

    assert (body, server.app.bodies) == (b"7", [b"abcdefg"])
    assert b"authorization" not in dict(server.app.scopes[0]["headers"])


def test_response_without_length_is_chunked(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/stream"))
        _, headers, _ = client.answer()
        while not client.rest.endswith(b"0\r\n\r\n"):
            client._more()

    assert headers[b"transfer-encoding"] == b"chunked"
    assert client.rest == b"7\r\n/stream\r\n0\r\n\r\n"


def test_response_without_length_ends_with_the_connection_for_http_1_0(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        _, headers, _ = client.answer()
        with contextlib.suppress(EOFError):
            while True:
                client._more()

    assert headers[b"connection"] == b"close"
    assert client.rest == b"/stream"


def test_head_has_the_length_and_no_body(server: Running) -> None:
    with server.connect() as client:
        client.send(b"HEAD /large HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/next"))
        _, headers, _ = client.answer(has_body=False)
        after = client.answer()[2]

    assert (headers[b"content-length"], after) == (b"33554432", b"/next")


def test_large_response_arrives_whole(server: Running) -> None:
    _, _, body = server.ask(get(b"/large"))

    assert body == b"x" * (32 << 20)


def test_control_characters_never_reach_a_response_header(server: Running) -> None:
    status, headers, _ = server.ask(get(b"/injected"))

    assert (status, b"x-b" in headers) == (500, False)


# --- limits of the header section ---------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        b"X-A: " + b"a" * 9000 + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (n, b"a" * 90) for n in range(90)),
        b"Range: bytes=" + b"1-2," * 8300 + b"1-2\r\n",
        b"".join(b"X-%d: a\r\n" % n for n in range(101)),
        b"X-A: " + b"a" * 200_000 + b"\r\n",
    ],
    ids=["one field", "many bytes", "range", "many fields", "200 kB"],
)
def test_too_large_header_section_is_refused(server: Running, extra: bytes) -> None:
    with server.connect() as client:
        client.send(get(b"/", extra))
        status, headers, body = client.answer()
        assert client.is_closed()

    assert (status, code(body)) == (400, b"RequestHeaderSectionTooLarge")
    assert headers[b"connection"] == b"close"
    assert server.app.scopes == []


def test_endless_header_is_refused_before_it_fills_memory(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"X-A: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.send(b"a" * (1 << 20))
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestHeaderSectionTooLarge")


def test_endless_trailer_ends_the_connection(server: Running) -> None:
    with server.connect() as client:
        client.send(
            b"PUT /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: "
        )
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.send(b"a" * (1 << 20))
        status, _, _ = client.answer()

    assert status == 400
    assert server.app.events == ["http.disconnect"]


@pytest.mark.parametrize(
    "extra",
    [
        b"X-A: " + b"a" * 8000 + b"\r\n",
        b"Range: bytes=" + b"1-2," * 8100 + b"1-2\r\n",
        b"".join(b"X-%d: a\r\n" % n for n in range(99)),
    ],
    ids=["8 KiB", "range of 32 KiB", "100 fields"],
)
def test_header_section_within_the_limits_is_served(server: Running, extra: bytes) -> None:
    assert server.ask(get(b"/ok", extra))[2] == b"/ok"


# --- what cannot be understood in one way only --------------------------------------------------


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET http://other.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PUT / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nabcde",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nabcde",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\n" + HOST + b"\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\x00b\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT other.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_request_is_answered_400_and_closed(
    server: Running, request_bytes: bytes
) -> None:
    with server.connect() as client:
        client.send(request_bytes)
        status, headers, body = client.answer()
        assert client.is_closed()

    assert (status, code(body)) == (400, b"BadRequest")
    assert headers[b"content-type"] == b"application/xml"
    assert server.app.scopes == []


def test_absolute_target_of_the_same_host_is_served(server: Running) -> None:
    request = b"GET http://s3.example:9000/a HTTP/1.1\r\nHost: s3.example:9000\r\n\r\n"

    assert server.ask(request)[2] == b"/a"


def test_request_smuggled_behind_a_refused_one_is_not_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n" + get(b"/secret"))
        client.answer()
        assert client.is_closed()

    assert server.app.scopes == []


def test_broken_chunk_disconnects_the_application_and_answers_400(server: Running) -> None:
    status, _, body = server.ask(
        b"PUT /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX"
    )

    assert (status, code(body)) == (400, b"BadRequest")


def test_broken_request_behind_another_leaves_that_one_its_answer(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/wait") + b"GET / HTTP/1.1\r\n\r\n")
        server.loop.call_soon_threadsafe(server.app.release.set)
        status, _, body = client.answer()
        assert client.is_closed()

    assert (status, body) == (200, b"/wait")
    assert len(server.app.scopes) == 1


def test_request_to_upgrade_is_served_as_http_1_1_and_the_connection_closed(
    server: Running,
) -> None:
    with server.connect() as client:
        client.send(get(b"/a", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"))
        _, headers, body = client.answer()
        assert client.is_closed()

    assert (body, headers[b"connection"]) == (b"/a", b"close")
