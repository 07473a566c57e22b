"""Requests that come in the same turn of the loop: a few begin, the others in turns to come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from s3server.process.turns import MOST, Turns
from tests.support.protocol_server import Running, get, put

CROWD = 4 * MOST


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


def test_turn_has_room_for_a_few_and_the_next_one_for_as_many() -> None:
    turns = Turns()
    for now in (1.0, 2.0):
        assert [turns.is_over(now) for _ in range(MOST + 2)] == [False] * MOST + [True] * 2


def test_all_that_come_in_one_turn_are_answered_each_in_its_order(server: Running) -> None:
    gate = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(CROWD)]
        for client in clients:
            client.send(get(b"/at/once"))
            assert client.answer()[2] == b"ok"
        server.loop.call_soon_threadsafe(gate.wait)
        for number, client in enumerate(clients):
            client.send(
                get(b"/at/once") + get(b"/a") if number % 2 else put(b"/read", b"x" * 9_000)
            )
            if number % 3 == 0:
                client.socket.shutdown(socket.SHUT_WR)
        gate.set()
        for number, client in enumerate(clients):
            if number % 2:
                assert [b"/at/once", b"/a"] == [client.answer()[2], client.answer()[2]]
            else:
                assert client.answer()[2] == b"9000"
    assert not server.server._turns._waiting


def test_client_that_is_gone_before_its_turn_harms_nobody(server: Running) -> None:
    gate = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(CROWD)]
        for client in clients:
            client.send(get(b"/at/once"))
            client.answer()
        server.loop.call_soon_threadsafe(gate.wait)
        for client in clients:
            client.send(get(b"/at/once"))
        for client in clients[::2]:
            client.socket.close()
        gate.set()
        for client in clients[1::2]:
            assert client.answer()[2] == b"ok"
