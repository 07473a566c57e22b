"""Limits how many bytes per second background work moves, so that requests keep the disks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

_AT_ONCE_S = 1.0  # how far work may be ahead of its rate before it waits
_LONGEST_WAIT_S = 5.0


class Throttle:
    """A rate in MiB per second; 0 is none. What is spent is waited for afterwards.

    `timer` gives seconds, `sleep` waits for some: tests bring their own.
    """

    def __init__(
        self,
        mib_s: float,
        *,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._bytes_s, self._timer, self._sleep = mib_s * (1 << 20), timer, sleep
        self._free_s = 0.0  # until when what was spent takes at this rate

    async def spend(self, count: int) -> None:
        """Wait for as long as this many bytes are too many; in steps of some seconds at most.

        What is left to wait for after such a step is added to the next one.
        """
        if not self._bytes_s:
            return
        now = self._timer()
        self._free_s = max(self._free_s, now) + count / self._bytes_s
        ahead = self._free_s - now
        if ahead > _AT_ONCE_S:
            await self._sleep(min(ahead, _LONGEST_WAIT_S))
