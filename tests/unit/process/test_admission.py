"""Requests and connections beyond the limits: 503 SlowDown with Retry-After, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from s3server.process.protocol import PATIENCE_S
from tests.support.protocol_server import HOST, Client, Running, code, get, look, put, until

LIMIT = 3
SLOW_DOWN = (503, b"SlowDown", b"1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path, max_requests=LIMIT, max_connections=8)
    yield running
    running.stop()


@pytest.fixture
def busy(server: Running) -> Iterator[Running]:
    """A server that has as many requests in work as it may."""
    clients = [server.connect() for _ in range(LIMIT)]
    for client in clients:
        client.send(get(b"/wait"))
    until(lambda: len(server.app.scopes) == LIMIT)
    yield server
    server.loop.call_soon_threadsafe(server.app.release.set)
    for client in clients:
        assert client.answer()[2] == b"/wait"
        client.socket.close()


def outcome(answer: tuple[int, dict[bytes, bytes], bytes]) -> tuple[int, bytes, bytes]:
    status, headers, body = answer
    return status, code(body), headers[b"retry-after"]


def test_request_beyond_the_limit_is_told_to_slow_down_and_when(busy: Running) -> None:
    with busy.connect() as client:
        client.send(get(b"/1"))
        assert outcome(client.answer()) == SLOW_DOWN
        client.send(get(b"/2"))
        assert outcome(client.answer()) == SLOW_DOWN
        busy.loop.call_soon_threadsafe(busy.app.release.set)
        until(lambda: busy.shares.requests() == 0)
        client.send(get(b"/3"))
        assert client.answer()[2] == b"/3"


def test_refusal_reaches_a_client_that_is_sending_its_body(busy: Running) -> None:
    with busy.connect() as client:
        client.send(put(b"/read", b"x" * (40 << 20)))
        assert outcome(client.answer()) == SLOW_DOWN
    with busy.connect() as client:
        client.send(put(b"/read", b"x" * 500_000))
        assert outcome(client.answer()) == SLOW_DOWN
        client.send(get(b"/-/health/live"))
        assert client.answer()[0] == 200
    assert busy.app.bodies == []


def test_refusal_of_an_expected_body_comes_before_it(busy: Running) -> None:
    with busy.connect() as client:
        client.send(put(b"/read", b"", b"Expect: 100-continue\r\n").replace(b": 0", b": 5"))
        assert outcome(client.answer()) == SLOW_DOWN


def test_refusal_of_a_head_request_has_no_body(busy: Running) -> None:
    with busy.connect() as client:
        client.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/-/health/live"))
        assert client.answer(has_body=False)[0] == 503
        assert client.answer()[0] == 200


def test_health_is_told_whatever_is_in_work(busy: Running) -> None:
    assert busy.ask(get(b"/-/health/live"))[0] == 200


def test_request_that_is_answered_at_once_is_no_work(busy: Running) -> None:
    assert busy.ask(get(b"/at/once"))[2] == b"ok"


def test_requests_of_other_workers_count(server: Running) -> None:
    other = 7
    server.shares.put(other, 0)
    until(lambda: other in server.server._shares._live)
    for _ in range(LIMIT):
        server.shares.begin(other)
    assert outcome(server.ask(get())) == SLOW_DOWN
    server.shares.remove(other)
    assert server.ask(get(b"/1"))[2] == b"/1"


def test_request_whose_client_is_gone_counts_no_longer(server: Running) -> None:
    for _ in range(2 * LIMIT):
        with server.connect() as client:
            client.send(put(b"/read", b"abcdef")[:-3])
            until(lambda: server.shares.requests() == 1)
        until(lambda: server.shares.requests() == 0)


def test_idle_connections_make_room_for_others(server: Running) -> None:
    began = server.loop.time()
    fresh = server.connect()
    idle = [server.connect() for _ in range(7)]
    for number, client in enumerate(idle):
        client.send(get(b"/at/once" if number % 2 else b"/1"))
        assert client.answer()[0] == 200
    assert outcome(server.ask(get(b"/2"))) == SLOW_DOWN
    make_room(server, PATIENCE_S - 1, since=began)
    assert outcome(server.ask(get(b"/2"))) == SLOW_DOWN
    make_room(server, PATIENCE_S)
    assert all(client.is_closed() for client in idle)
    fresh.send(get(b"/3"))
    assert fresh.answer()[2] == b"/3"
    assert server.ask(get(b"/2"))[0] == 200
    for client in (fresh, *idle):
        client.socket.close()


def make_room(server: Running, seconds: float, since: float | None = None) -> None:
    """Let the server look for room so much later than then; None: than now."""
    look(server, lambda connection, now: connection.make_room((since or now) + seconds))


def test_connection_beyond_the_limit_is_answered_and_closed(server: Running) -> None:
    kept: list[Client] = []
    for _ in range(8):
        kept.append(server.connect())
        kept[-1].send(get(b"/1"))
        assert kept[-1].answer()[0] == 200
    with server.connect() as client:
        client.send(get(b"/-/health/live"))
        assert client.answer()[0] == 200
        client.send(get(b"/at/once"))
        answer = client.answer()
        assert outcome(answer) == SLOW_DOWN
        assert answer[1][b"connection"] == b"close"
        assert client.is_closed()
    for client in kept:
        client.send(get(b"/2"))
        assert client.answer()[0] == 200
        client.socket.close()
    until(lambda: not server.connections())
    assert server.ask(get(b"/3"))[0] == 200
