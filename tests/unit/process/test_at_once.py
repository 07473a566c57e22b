"""Plain requests that are answered past the parser and ASGI: on a connection like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.protocol_server import Running, get, until

PLAIN = get(b"/at/once")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


def test_answer_has_the_fields_of_every_answer(server: Running) -> None:
    with server.connect() as client:
        client.send(PLAIN)
        status, headers, body = client.answer()
        client.send(get(b"/other"))
        other = client.answer()[1]

    assert (200, b"ok", b"short") == (status, body, headers[b"x-way"])
    assert other.keys() == headers.keys() - {b"x-way"}


def test_request_behind_one_that_is_being_served_waits_its_turn(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/wait"))
        until(lambda: bool(server.app.scopes))
        client.send(PLAIN)
        until(lambda: any(each.pipeline for each in server.connections()))
        server.loop.call_soon_threadsafe(server.app.release.set)
        assert [b"/wait", b"/at/once"] == [client.answer()[2], client.answer()[2]]


def test_body_that_looks_like_a_request_is_a_body(server: Running) -> None:
    with server.connect() as client:
        client.send(b"PUT /read HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(PLAIN))
        until(lambda: bool(server.app.scopes))
        client.send(PLAIN)
        assert b"%d" % len(PLAIN) == client.answer()[2]
    assert [PLAIN] == server.app.bodies


def test_request_in_two_pieces_is_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(PLAIN[:20])
        until(lambda: any(each._in_message for each in server.connections()))
        client.send(PLAIN[20:])
        assert b"/at/once" == client.answer()[2]
        client.send(PLAIN)
        assert b"ok" == client.answer()[2]
