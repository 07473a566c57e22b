"""Clients that hold on to what they get, each in one bad way; who is cut off comes back.

They run in a process of their own, on the event loop, each with one connection. A reader that does
not read keeps little in its own kernel, so that the server has to keep the rest; nor does that take
many requests of one who asks again and again, or making them up would take a processor.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.endpoint import Endpoint
from bench.errors import BenchError
from bench.signing import UNSIGNED, Account, Signer

TRICKLE_S = 1.0  # from one byte to the next
LOOK_S = 0.05
STARTS_S = 120.0  # until all are there
FOR_EVER_S = 86_400.0
SMALL_BUFFER = 4_096  # bytes
UPLOAD = 1 << 20  # bytes that are announced, and never sent


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who they are: `object_path` is an object that is larger than all buffers on its way."""

    endpoint: Endpoint
    account: Account
    object_path: str
    count: int


class _Client:
    """One of them, with what it is connected by."""

    def __init__(self, connection: socket.socket, signer: Signer, path: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, self._signer, self._path = connection, signer, path

    async def says_nothing(self) -> None:
        await self._is_cut_off()

    async def sends_its_head_slowly(self) -> None:
        await self._send(b"GET / HTTP/1.1\r\n")
        await self._trickle(b"x")

    async def sends_half_a_head(self) -> None:
        await self._send(b"GET / HTTP/1.1\r\nHost: ")
        await self._is_cut_off()

    async def sends_its_body_slowly(self) -> None:
        await self._send(self._upload())
        await self._trickle(b"x")

    async def sends_half_a_body_and_ends(self) -> None:
        await self._send(self._upload() + b"x" * 1_000)
        self._connection.shutdown(socket.SHUT_WR)
        await asyncio.sleep(FOR_EVER_S)

    async def does_not_read(self) -> None:
        await self._send(self._signer.render("GET", self._path))
        await asyncio.sleep(FOR_EVER_S)

    async def asks_again_and_again_and_does_not_read(self) -> None:
        while True:
            await self._send(self._signer.render("GET", self._path))

    def _upload(self) -> bytes:
        return self._signer.render("PUT", self._path + "-never", sha256=UNSIGNED, size=UPLOAD)

    async def _send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._connection, data)

    async def _trickle(self, piece: bytes) -> None:
        while True:
            await self._send(piece)
            await asyncio.sleep(TRICKLE_S)

    async def _is_cut_off(self) -> None:
        while await self._loop.sock_recv(self._connection, 1 << 16):
            pass


WAYS: tuple[Callable[[_Client], Awaitable[None]], ...] = (
    _Client.says_nothing,
    _Client.sends_its_head_slowly,
    _Client.sends_half_a_head,
    _Client.sends_its_body_slowly,
    _Client.sends_half_a_body_and_ends,
    _Client.does_not_read,
    _Client.asks_again_and_again_and_does_not_read,
)


async def _keep(number: int, crowd: Crowd, told: Any) -> None:
    """Be a bad client for ever."""
    loop, signer = asyncio.get_running_loop(), crowd.endpoint.signer(crowd.account)
    while True:
        connection = socket.socket(
            socket.AF_INET6 if ":" in crowd.endpoint.host else socket.AF_INET
        )
        connection.setblocking(False)
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            connection.setsockopt(socket.SOL_SOCKET, buffer, SMALL_BUFFER)
        try:
            await loop.sock_connect(connection, (crowd.endpoint.host, crowd.endpoint.port))
            told[number] = 1
            await WAYS[number % len(WAYS)](_Client(connection, signer, crowd.object_path))
        except OSError:
            await asyncio.sleep(TRICKLE_S)
        finally:
            connection.close()


def _live(crowd: Crowd, told: Any) -> None:
    """Body of the process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def live() -> None:
        await asyncio.gather(*(_keep(number, crowd, told) for number in range(crowd.count)))

    asyncio.run(live())


@contextmanager
def misbehaving(crowd: Crowd) -> Iterator[None]:
    """Have them, each connected at least once. Raises BenchError."""
    context = multiprocessing.get_context("spawn")
    told = context.Array("b", crowd.count, lock=False)
    process = context.Process(target=_live, args=(crowd, told), daemon=True)
    process.start()
    try:
        _wait(process, told, crowd.count)
        yield
    finally:
        process.kill()
        process.join()


def _wait(process: Any, told: Any, count: int) -> None:
    deadline = time.monotonic() + STARTS_S
    while sum(told) < count:
        if not process.is_alive() or time.monotonic() > deadline:
            raise BenchError(f"{sum(told)} of {count} bad clients were connected")
        time.sleep(LOOK_S)
