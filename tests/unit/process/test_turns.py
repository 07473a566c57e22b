"""Requests that come in the same turn of the loop: a few begin, the others in turns to come."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from s3server.process.protocol import KEEP_ALIVE_S, S3Protocol
from s3server.process.turns import MOST, Turns
from tests.support.protocol_server import Running, get, put, until

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


def test_answers_of_a_turn_are_written_at_its_end_in_their_order() -> None:
    written: list[object] = []

    class Transport:
        def __init__(self, name: str) -> None:
            self.name, self.is_lost = name, False

        def is_closing(self) -> bool:
            return self.is_lost

        def write(self, data: bytes) -> None:
            written.append((self.name, data))

    async def turn() -> None:
        turns, one, lost, other = Turns(), Transport("one"), Transport("lost"), Transport("other")
        for transport, piece in ((one, b"1"), (lost, b"2"), (other, b"3"), (one, b"4")):
            turns.answer(transport, piece)  # type: ignore[arg-type]
        lost.is_lost = True
        assert not written
        await asyncio.sleep(0)
        assert written == [("one", b"1"), ("other", b"3"), ("one", b"4")]
        turns.answer(other, b"5")  # type: ignore[arg-type]
        turns.flush()
        assert written[3:] == [("other", b"5")]
        await asyncio.sleep(0)
        assert len(written) == 4

    asyncio.run(turn())


def test_answer_comes_before_whatever_ends_its_connection(server: Running) -> None:
    def then(end: Callable[[S3Protocol], object]) -> bytes:
        with server.connect() as client:
            client.send(get(b"/a"))
            client.answer()
            (connection,) = server.connections()

            def both() -> None:
                connection.data_received(get(b"/at/once"))
                end(connection)

            server.loop.call_soon_threadsafe(both)
            assert client.answer()[2] == b"ok"
            rest = client.rest + client.socket.recv(1 << 16)
        until(lambda: not server.connections())
        return rest

    assert then(lambda connection: connection.expire(connection.loop.time() + KEEP_ALIVE_S)) == b""
    assert then(lambda connection: connection.data_received(b"no HTTP\r\n\r\n")).startswith(
        b"HTTP/1.1 400 "
    )

    def half_close(connection: S3Protocol) -> None:
        if not connection.eof_received():
            connection.transport.close()

    assert then(half_close) == b""
