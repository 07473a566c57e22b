"""Contract tests of the HTTP protocol: unread bodies, deadlines, and the end."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3server.process import protocol
from tests.support.protocol_server import (
    HOST,
    Running,
    code,
    expire,
    get,
    put,
    until_connected,
    until_draining,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


# --- bodies that nobody reads -------------------------------------------------------------------


def test_expect_is_answered_with_100_once_the_body_is_wanted(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/read", b"", b"Expect: 100-continue\r\n").replace(b": 0", b": 5"))
        while b"\r\n\r\n" not in client.rest:
            client._more()
        interim, client.rest = client.rest, b""
        client.send(b"abcde")
        status, headers, _ = client.answer()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (status, server.app.bodies) == (200, [b"abcde"])
    assert b"connection" not in headers


@pytest.mark.parametrize("body", [b"", b"abcde"], ids=["empty", "already sent"])
@pytest.mark.parametrize("path", [b"/read", b"/denied"])
def test_expect_is_answered_with_100_even_where_the_body_needs_none(
    server: Running, path: bytes, body: bytes
) -> None:
    with server.connect() as client:
        client.send(put(path, body, b"Expect: 100-continue\r\n"))
        while client.rest.count(b"\r\n\r\n") < 2:
            client._more()
        interim, found, client.rest = client.rest.partition(b"HTTP/1.1 100 Continue\r\n\r\n")
        status, headers, _ = client.answer()

    assert (b"", b"HTTP/1.1 100 Continue\r\n\r\n") == (interim, found)
    assert {b"/read": 200, b"/denied": 403}[path] == status
    assert b"connection" not in headers


def test_final_answer_to_expect_without_reading_closes_the_connection(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"", b"Expect: 100-continue\r\n").replace(b": 0", b": 5"))
        status, headers, _ = client.answer()
        assert client.is_closed()

    assert (status, headers[b"connection"]) == (403, b"close")


def test_small_unread_body_is_dropped_and_the_connection_kept(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"x" * 500_000)[:1000])
        status, headers, _ = client.answer()
        client.send(put(b"/denied", b"x" * 500_000)[1000:])
        client.send(get(b"/next"))
        after = client.answer()

    assert (status, after[2]) == (403, b"/next")
    assert b"connection" not in headers


def test_client_that_sends_a_large_body_first_still_reads_the_early_answer(
    server: Running,
) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"x" * (40 << 20)))
        status, headers, body = client.answer()

    assert (status, headers[b"connection"], body) == (403, b"close", b"no")


def test_unread_chunked_body_closes_the_connection(server: Running) -> None:
    status, headers, _ = server.ask(
        b"PUT /denied HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )

    assert (status, headers[b"connection"]) == (403, b"close")


def test_body_that_ends_early_is_a_disconnect_that_can_still_be_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/read", b"abcdef")[:-3])
        client.socket.shutdown(socket.SHUT_WR)
        status, _, _ = client.answer()
        assert client.is_closed()

    assert (status, server.app.events[-1]) == (400, "http.disconnect")


def test_half_closed_connection_is_still_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/a"))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer()[2] == b"/a"
        assert client.is_closed()


def is_paused(connection: protocol.S3Protocol) -> bool:
    return connection.cycle is not None and connection.cycle.buffered >= protocol.WRITE_BUFFER


def test_upload_that_is_not_read_stops_being_received(server: Running) -> None:
    with server.connect() as client:
        client.socket.setblocking(False)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        request = put(b"/wait", b"").replace(b": 0", b": 1000000000")
        sent = client.socket.send(request)
        client.socket.settimeout(0.5)
        is_full = False  # until then, a pause is that of a busy machine
        while sent < 64 << 20:
            try:
                sent += client.socket.send(b"x" * (1 << 16))
            except TimeoutError:
                if is_full:
                    break
                until_connected(server, is_paused)
                is_full = True
        (connection,) = server.connections()

        assert is_paused(connection)
        assert connection.cycle.buffered <= 2 * protocol.WRITE_BUFFER
        assert sent < 32 << 20


@pytest.mark.parametrize("rest", [0, 700_000], ids=["come", "still to come"])
def test_body_that_was_held_back_is_dropped_once_its_request_is_answered(
    server: Running, rest: int
) -> None:
    body = b"x" * (protocol.WRITE_BUFFER * 5 // 4)
    with server.connect() as client:
        client.send(put(b"/wait", body + b"x" * rest)[: -rest or None])
        until_connected(server, is_paused)
        server.loop.call_soon_threadsafe(server.app.release.set)
        _, headers, answer = client.answer()
        client.send(b"x" * rest + get(b"/next"))
        assert client.answer()[2] == b"/next"

    assert answer == b"/wait"
    assert b"connection" not in headers


# --- deadlines ----------------------------------------------------------------------------------


def test_connection_that_sends_nothing_is_closed(server: Running) -> None:
    began = server.loop.time()
    with server.connect() as client:
        until_connected(server)
        expire(server, protocol.HEADER_S - 1, since=began)
        assert len(server.connections()) == 1
        expire(server, protocol.HEADER_S)
        assert client.is_closed()


def test_half_sent_header_is_answered_with_request_timeout(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: ")
        until_connected(server, lambda connection: connection._in_message)
        expire(server, protocol.HEADER_S)
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestTimeout")


def test_stalled_body_is_answered_with_request_timeout(server: Running) -> None:
    began = server.loop.time()
    with server.connect() as client:
        client.send(put(b"/read", b"abcdef")[:-3])
        until_connected(server, lambda connection: connection._served is not None)
        expire(server, protocol.STALL_S - 1, since=began)
        assert len(server.connections()) == 1
        expire(server, protocol.STALL_S)
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestTimeout")


def test_body_that_stalls_after_the_answer_has_no_second_one(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"abcdef")[:-3])
        assert client.answer()[0] == 403
        expire(server, protocol.STALL_S)
        assert client.rest + client.socket.recv(1 << 16) == b""


def test_idle_connection_is_kept_for_75_seconds(server: Running) -> None:
    began = server.loop.time()
    with server.connect() as client:
        client.send(get(b"/1"))
        client.answer()
        expire(server, protocol.KEEP_ALIVE_S - 1, since=began)
        client.send(get(b"/2"))
        assert client.answer()[2] == b"/2"
        expire(server, protocol.KEEP_ALIVE_S)
        assert client.is_closed()


def test_request_that_takes_long_in_the_application_has_no_deadline(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/wait"))
        until_connected(server, lambda connection: connection._deadline == math.inf)
        expire(server, 10_000)
        server.loop.call_soon_threadsafe(server.app.release.set)
        assert client.answer()[2] == b"/wait"


def test_client_that_does_not_take_its_response_is_cut_off(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/large"))
        until_connected(server, lambda connection: connection.flow.write_paused)
        expire(server, protocol.STALL_S)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while data := client.socket.recv(1 << 20):
                received += len(data)

    assert received < 32 << 20


# --- the end ------------------------------------------------------------------------------------


def test_application_is_told_that_its_client_is_gone(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/endless"))
        until_connected(server, lambda connection: bool(server.app.scopes))
    while "client is gone" not in server.app.events:
        assert server.thread.is_alive()


def test_stop_serves_what_has_begun_and_closes(server: Running) -> None:
    with server.connect() as client, server.connect() as idle:
        idle.send(get(b"/1"))
        idle.answer()
        client.send(get(b"/wait"))
        until_connected(server, lambda connection: len(server.app.scopes) == 2)
        server.server.should_exit = True
        assert idle.is_closed()
        server.loop.call_soon_threadsafe(server.app.release.set)
        _, headers, body = client.answer()
        assert client.is_closed()

    assert (body, headers[b"connection"]) == (b"/wait", b"close")


def test_stop_does_not_wait_for_the_rest_of_a_body_that_was_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"x" * 500_000)[:1000])
        assert client.answer()[0] == 403
        server.server.should_exit = True
        until_draining(server)
        expire(server, protocol.LINGER_S)
        assert client.is_closed()
        server.thread.join()


@pytest.mark.parametrize("before", [b"", get(b"/1")])
def test_stop_does_not_wait_for_the_rest_of_a_header_section(
    server: Running, before: bytes
) -> None:
    with server.connect() as client:
        client.send(before + b"GET /half HTTP/1.1\r\nHost")
        if before:
            client.answer()
        until_connected(server, lambda connection: connection._in_headers)
        server.server.should_exit = True
        until_draining(server)
        expire(server, protocol.DRAIN_S)
        assert client.is_closed()
        server.thread.join()
