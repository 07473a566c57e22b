"""The load: connections as raw asyncio protocols, which fill a tally.

In a closed loop each sends its next request when the last answer is complete; in an open loop
`bench.pace` says when.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Iterator
from hashlib import md5
from time import perf_counter_ns
from typing import Any, cast

from bench.pace import Pace
from bench.response import Response, ResponseError
from bench.tally import Tally
from bench.workload import Request

_PIECE = 1 << 20
_GRACE_S = 120
_PAUSE_S = 0.05  # before a connection that could not be made is tried again
_ATTEMPTS = 1000  # that fail in a row


class Connection(asyncio.Protocol):
    """One connection's requests, made again when lost.

    `finished` is set when the requests or the window are used up.
    """

    def __init__(self, requests: Iterator[Request], tally: Tally, pace: Pace | None) -> None:
        self.finished = asyncio.Event()
        self.lost = asyncio.Event()
        self._requests = requests
        self._tally = tally
        self._pace = pace
        self._response = Response()
        self._request: Request | None = None
        self._due = 0
        self._sent = 0
        self._digest: Any = None
        self._paused = False
        self._unsent: list[memoryview] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=2 * _PIECE)
        self._paused = False
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request is not None:
            self._tally.fail("connection", repr(exc), perf_counter_ns())
            self._request = None
        self._unsent = []
        if self._pace is not None:
            self._pace.leave(self)
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        request = self._request
        try:
            if self._response.feed(data) and request is not None:
                self._complete(request)
        except ResponseError as error:
            self._tally.fail("protocol", str(error), perf_counter_ns())
            self._request = None
            self._transport.abort()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def send(self, due: int) -> None:
        """Send the next request, due at that time on the monotonic clock."""
        request = next(self._requests, None)
        if request is None:
            self.end()
            return
        self._request = request
        self._digest = None if request.md5 is None else md5(usedforsecurity=False)
        self._response.begin(bodiless=request.kind == "head", digest=self._digest)
        self._due = due
        self._sent = perf_counter_ns()
        self._transport.write(request.head)
        if request.body:
            self._unsent = list(reversed(request.body))
            self._pump()

    def end(self) -> None:
        """Nothing more will be sent."""
        self.finished.set()
        self._transport.close()

    def _next(self) -> None:
        if self._pace is not None:
            self._pace.ready(self)
            return
        now = perf_counter_ns()
        if now < self._tally.stop_ns:
            self.send(now)
        else:
            self.end()

    def _pump(self) -> None:
        """Write a large body in pieces for as long as the transport takes them."""
        unsent = self._unsent
        while unsent and not self._paused:
            rest = unsent.pop()
            if len(rest) > _PIECE:
                unsent.append(rest[_PIECE:])
            self._transport.write(rest[:_PIECE])

    def _complete(self, request: Request) -> None:
        now = perf_counter_ns()
        response = self._response
        self._request = None
        if response.status != request.status:
            self._tally.fail(response.error(), response.sample(), now)
        elif request.kind == "get" and response.size != request.size:
            self._tally.fail("wrong length", response.sample(), now)
        elif self._digest is not None and self._digest.digest() != request.md5:
            self._tally.fail("wrong bytes", response.sample(), now)
        else:
            self._tally.verified += self._digest is not None
            self._tally.add(request, self._due, self._sent, now)
        if response.closes or self._unsent:
            self._unsent = []
            self._transport.close()
        else:
            self._next()


async def drive(
    host: str,
    port: int,
    plans: list[Iterator[Request]],
    tally: Tally,
    *,
    tls: ssl.SSLContext | None = None,
    pace: Pace | None = None,
) -> None:
    """Run one connection per plan until each is used up or the window has closed.

    Raises TimeoutError where an answer is not complete two minutes after that, ConnectionError
    where no connection can be made for most of a minute.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for plan in plans:
                group.create_task(_keep(Connection(plan, tally, pace), host, port, tally, tls))
    except ExceptionGroup as several:  # of one kind each: the first one tells
        raise several.exceptions[0] from several
    if pace is not None:
        tally.unsent += pace.unsent()


async def _keep(
    connection: Connection, host: str, port: int, tally: Tally, tls: ssl.SSLContext | None
) -> None:
    """Make the connection, again when it is lost, until it has finished; count what fails."""
    loop = asyncio.get_running_loop()
    failed = 0
    while not connection.finished.is_set() and perf_counter_ns() < tally.stop_ns:
        connection.lost.clear()
        try:
            await loop.create_connection(lambda: connection, host, port, ssl=tls)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
            tally.fail(f"connect {reason}", str(error), perf_counter_ns())
            failed += 1
            if failed == _ATTEMPTS:
                raise ConnectionError(f"no connection to {host}:{port}: {error}") from error
            await asyncio.sleep(_PAUSE_S)
            continue
        failed = 0
        left_s = max(tally.stop_ns - perf_counter_ns(), 0) / 1e9
        async with asyncio.timeout(left_s + _GRACE_S):
            await connection.lost.wait()
