"""When requests are sent in an open loop: at times that do not wait for answers.

A request that finds every connection busy is sent late, but its latency runs from when it was due,
so a server that stalls is charged for all who would have waited (no coordinated omission). What is
still not sent at the end is counted. The event loop's timer has a resolution of 1 ms: a request
may leave that much after it was due, which counts too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from random import Random
from time import perf_counter_ns
from typing import Protocol


class Sender(Protocol):
    """A connection with nothing to do."""

    def send(self, due: int) -> None:
        """Send the next request, due at that time."""

    def end(self) -> None:
        """No request will come."""


def due_times(begin_ns: int, per_s: float, *, seed: str, poisson: bool) -> Iterator[int]:
    """Return endless rising times: in equal steps, or as independent callers come (Poisson)."""
    random = Random(seed)
    at = float(begin_ns)
    step = 1e9 / per_s
    while True:
        at += random.expovariate(1.0) * step if poisson else step
        yield int(at)


class Pace:
    """Hands out what is due, in order, to connections that are free, until `stop_ns`."""

    def __init__(self, times: Iterator[int], stop_ns: int) -> None:
        self._times = takewhile(lambda at: at < stop_ns, times)
        self._stop_ns = stop_ns
        self._due = next(self._times, None)
        self._idle: deque[Sender] = deque()
        self._is_timed = False

    def ready(self, sender: Sender) -> None:
        """Take a connection that is free; it is told to send now or later, or to end."""
        now = perf_counter_ns()
        due = self._due
        if due is None or now >= self._stop_ns:
            sender.end()
        elif due <= now:
            self._due = next(self._times, None)
            sender.send(due)
        else:
            self._idle.append(sender)
            self._wait(now)

    def leave(self, sender: Sender) -> None:
        """Forget a connection that was lost while it had nothing to do."""
        if sender in self._idle:
            self._idle.remove(sender)

    def unsent(self) -> int:
        """Return how many were due and never sent; call it once, at the end."""
        return (self._due is not None) + sum(1 for _ in self._times)

    def _wait(self, now: int) -> None:
        if self._is_timed or not self._idle:
            return
        self._is_timed = True
        until = self._stop_ns if self._due is None else self._due
        asyncio.get_running_loop().call_later(max(until - now, 0) / 1e9, self._wake)

    def _wake(self) -> None:
        self._is_timed = False
        now = perf_counter_ns()
        while self._idle and self._due is not None and self._due <= now:
            due, self._due = self._due, next(self._times, None)
            self._idle.popleft().send(due)
        while self._idle and self._due is None:
            self._idle.popleft().end()
        self._wait(now)
