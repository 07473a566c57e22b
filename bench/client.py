"""The load: closed-loop connections as raw asyncio protocols, and the tally they fill.

Each connection sends its next request when the last answer is complete. Requests that lie wholly
in the measured window count as one, those that cross its edges by the share that lies inside, so
that a few large objects are measured as fairly as many small ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5
from time import perf_counter_ns
from typing import cast

from bench.histogram import Histogram
from bench.response import Response, ResponseError
from bench.workload import Request

_PIECE = 1 << 20
_SMALL = 1 << 16
_VERIFY_EVERY = 64
_ATTEMPTS = 1000
_GRACE_S = 120


@dataclass(slots=True)
class Tally:
    """What was measured between `start_ns` and `stop_ns` on the monotonic clock."""

    start_ns: int
    stop_ns: int
    completed: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    size: float = 0.0  # bytes of object data
    latency: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    errors: Counter[str] = field(default_factory=Counter)
    sample: str = ""  # the beginning of the first unexpected answer
    verified: int = 0
    last_ns: int = 0  # when the last request ended

    def add(self, request: Request, started: int, now: int) -> None:
        """Count a request that ended well."""
        self.last_ns = now
        if started >= self.start_ns and now <= self.stop_ns:
            self.completed[request.kind] += 1
            self.size += request.size
            self.latency[request.kind].record(now - started)
            return
        inside = min(now, self.stop_ns) - max(started, self.start_ns)
        if inside > 0:
            share = inside / (now - started)
            self.completed[request.kind] += share
            self.size += request.size * share

    def fail(self, name: str, sample: str, now: int) -> None:
        """Count an error inside the window; the first one leaves its sample."""
        if now >= self.start_ns:
            self.errors[name] += 1
        self.sample = self.sample or sample

    def merge(self, other: Tally) -> None:
        """Add what another process measured in the same window."""
        for kind, count in other.completed.items():
            self.completed[kind] += count
        for kind, histogram in other.latency.items():
            self.latency[kind].merge(histogram)
        self.size += other.size
        self.errors.update(other.errors)
        self.sample = self.sample or other.sample
        self.verified += other.verified
        self.last_ns = max(self.last_ns, other.last_ns)


class Connection(asyncio.Protocol):
    """One closed loop. `finished` is set when the requests or the window are used up."""

    def __init__(self, requests: Iterator[Request], tally: Tally) -> None:
        self.finished = asyncio.Event()
        self.lost = asyncio.Event()
        self._requests = requests
        self._tally = tally
        self._response = Response()
        self._request: Request | None = None
        self._started = 0
        self._count = 0
        self._paused = False
        self._unsent: memoryview | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=2 * _PIECE)
        self._paused = False
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request is not None:
            self._tally.fail("connection", repr(exc), perf_counter_ns())
            self._request = None
        self._unsent = None
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

    def _next(self) -> None:
        now = perf_counter_ns()
        request = next(self._requests, None) if now < self._tally.stop_ns else None
        if request is None:
            self.finished.set()
            self._transport.close()
            return
        self._request = request
        digest = None
        if request.md5 is not None and self._is_verified(request):
            digest = md5(usedforsecurity=False)
        self._digest = digest
        self._count += 1
        self._response.begin(bodiless=request.kind == "head", digest=digest)
        self._started = now
        if request.body is None:
            self._transport.write(request.head)
        elif request.size <= _SMALL:
            self._transport.writelines((request.head, request.body))
        else:
            self._transport.write(request.head)
            self._unsent = request.body
            self._pump()

    def _is_verified(self, request: Request) -> bool:
        """Verify the first GET of a connection, and of small ones a sample of the rest."""
        return self._count == 0 or (request.size <= _SMALL and self._count % _VERIFY_EVERY == 0)

    def _pump(self) -> None:
        """Write a large body in pieces for as long as the transport takes them."""
        while self._unsent is not None and not self._paused:
            piece, rest = self._unsent[:_PIECE], self._unsent[_PIECE:]
            self._unsent = rest if len(rest) else None
            self._transport.write(piece)

    def _complete(self, request: Request) -> None:
        now = perf_counter_ns()
        response = self._response
        self._request = None
        if response.status != request.status:
            sample = response.start.decode("latin-1")
            self._tally.fail(str(response.status), sample, now)
        elif self._digest is not None and self._digest.digest() != request.md5:
            self._tally.fail("wrong bytes", response.start.decode("latin-1"), now)
        else:
            self._tally.verified += self._digest is not None
            self._tally.add(request, self._started, now)
        if response.closes or self._unsent is not None:
            self._unsent = None
            self._transport.close()
        else:
            self._next()


async def drive(host: str, port: int, plans: list[Iterator[Request]], tally: Tally) -> None:
    """Run one connection per plan until each is used up or the window has closed.

    Raises ConnectionError where a connection cannot be made or is lost 1000 times.
    """
    async with asyncio.TaskGroup() as group:
        for plan in plans:
            group.create_task(_keep(host, port, plan, tally))


async def _keep(host: str, port: int, plan: Iterator[Request], tally: Tally) -> None:
    connection = Connection(plan, tally)
    for _ in range(_ATTEMPTS):
        connection.lost.clear()
        await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
        left_s = max(tally.stop_ns - perf_counter_ns(), 0) / 1e9
        async with asyncio.timeout(left_s + _GRACE_S):
            await connection.lost.wait()
        if connection.finished.is_set():
            return
    raise ConnectionError(f"connection lost {_ATTEMPTS} times: {tally.sample}")
