"""Contract tests of the HTTP protocol: clients that do not take, or do not say goodbye."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.tls_front import certificate
from s3server.process import protocol
from tests.support.protocol_server import (
    WAIT_S,
    Client,
    Running,
    code,
    expire,
    get,
    put,
    until,
    until_connected,
    until_draining,
)

LAST = b"Connection: close\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Running]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path), tmp_path / "key.pem")
    running = Running(tmp_path, tls=context)
    yield running
    running.stop()


def connect_tls(server: Running) -> Client:
    client = server.connect()
    client.socket = ssl._create_unverified_context().wrap_socket(client.socket)
    return client


def reluctant(server: Running) -> Client:
    """Return a client for which both kernels keep little that it does not read."""
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = Client.__new__(Client)
    client.socket, client.rest = socket.socket(), b""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.settimeout(WAIT_S)
    client.socket.connect(server.address)
    return client


def is_stuck(connection: protocol.S3Protocol) -> bool:
    return connection.transport.get_write_buffer_size() > 0 and connection.cycle.response_complete


@pytest.mark.parametrize("last", [b"", LAST], ids=["kept", "closed"])
def test_client_that_does_not_take_the_rest_of_an_answer_is_cut_off(
    server: Running, last: bytes
) -> None:
    began = server.loop.time()
    with reluctant(server) as client:
        client.send(get(b"/half", last))
        until_connected(server, is_stuck)
        if not last:
            expire(server, protocol.KEEP_ALIVE_S)
        expire(server, protocol.STALL_S - 1, since=began)
        assert len(server.connections()) == 1
        expire(server, protocol.STALL_S)
        until(lambda: not server.connections())


def test_client_that_takes_an_answer_slowly_gets_all_of_it(server: Running) -> None:
    with reluctant(server) as client:
        client.send(get(b"/half", LAST))
        until_connected(server, is_stuck)
        (connection,) = server.connections()
        for _ in range(4):
            enough = connection._unsent - protocol.STALL_S * protocol.MIN_RATE
            while connection.transport.get_write_buffer_size() > enough:
                client.rest += client.socket.recv(4096)
            expire(server, protocol.STALL_S)
        assert len(client.answer()[2]) == protocol.WRITE_BUFFER // 2


def test_body_that_trickles_is_answered_with_request_timeout(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/read", b"x" * 1000)[:-500])
        until_connected(server, lambda connection: connection._due == 500)
        expire(server, protocol.STALL_S)
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestTimeout")


def test_body_that_comes_at_a_kibibyte_a_second_is_waited_for(server: Running) -> None:
    body = b"x" * 200_000
    half = protocol.STALL_S * protocol.MIN_RATE
    with server.connect() as client:
        client.send(put(b"/read", body)[: half + 1000])
        until_connected(server, lambda connection: connection._due >= half)
        expire(server, protocol.STALL_S)
        assert server.connections()[0]._due == 0
        client.send(put(b"/read", body)[half + 1000 :])
        assert client.answer()[2] == b"200000"


def test_client_that_was_not_asked_for_its_body_yet_is_not_slow(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/wait", b"", b"Expect: 100-continue\r\n").replace(b": 0", b": 5"))
        until(lambda: bool(server.app.scopes))
        expire(server, protocol.STALL_S)
        server.loop.call_soon_threadsafe(server.app.release.set)
        assert client.answer()[2] == b"/wait"


def test_answer_reaches_a_client_that_sends_for_long_before_it_reads(server: Running) -> None:
    began = server.loop.time()
    with server.connect() as client:
        client.send(put(b"/denied", b"").replace(b": 0", b": 1000000000"))
        until_connected(server, lambda connection: connection._lingers)
        for _ in range(3):
            expire(server, protocol.LINGER_S - 1, since=began)
            began = server.loop.time()
            client.send(b"x" * (4 << 20))
        assert client.answer()[0] == 403
        expire(server, protocol.LINGER_MOST_S)
        until(lambda: not server.connections())


def test_request_behind_the_last_one_is_not_served(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/1", LAST) + get(b"/2"))
        assert client.answer()[2] == b"/1"
        assert client.is_closed()

    assert [b"/1"] == [scope["raw_path"] for scope in server.app.scopes]


def test_idle_client_of_tls_that_says_no_goodbye_does_not_hold_up_a_stop(secure: Running) -> None:
    with connect_tls(secure) as client:
        client.send(get(b"/1"))
        client.answer()
        expire(secure, protocol.KEEP_ALIVE_S)
        assert len(secure.connections()) == 1  # it is waited for, a little
        expire(secure, protocol.BYE_S)
        until(lambda: not secure.connections())


def test_handshake_that_is_not_over_at_a_stop_is_given_up(secure: Running) -> None:
    with connect_tls(secure) as client, secure.connect() as late:
        client.send(get(b"/wait"))
        until(lambda: bool(secure.app.scopes))
        begun = ssl._create_unverified_context().wrap_socket(
            late.socket, do_handshake_on_connect=False
        )
        until(lambda: len(secure.server._opening) == 1)
        secure.server.should_exit = True
        until_draining(secure)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            begun.do_handshake()
        begun.close()
        secure.loop.call_soon_threadsafe(secure.app.release.set)
        assert client.answer()[2] == b"/wait"


def test_answer_to_the_last_request_of_tls_arrives_whole(secure: Running) -> None:
    with connect_tls(secure) as client:
        client.send(get(b"/half", LAST))
        assert len(client.answer()[2]) == protocol.WRITE_BUFFER // 2
