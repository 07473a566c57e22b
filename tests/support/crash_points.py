"""Processes that die at their N-th call of storage, for every N.

The process that dies is a fork of this one; what it wrote before stays in the page cache, as it
does when a server is killed. (That the caches survive too is what the power-cut tests do not take
for granted.)
"""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s3server.data.layout import PAGE
from s3server.data.vfs import Buffer, Vfs
from s3server.meta.base import Check, Row, Write
from s3server.meta.lmdb import LmdbStore

DIED = 137


class Countdown:
    """Ends the process at the N-th step; `torn` counts writes alone, and dies half-way in one."""

    def __init__(self, steps: int, *, torn: bool) -> None:
        self._left, self._torn = steps, torn
        self._lock = threading.Lock()

    def step(self) -> None:
        """Count a call that changes something and is not a write."""
        if not self._torn:
            self._count()

    def write(self, fd: int, data: memoryview, offset: int) -> None:
        """Count a write that is about to happen."""
        with self._lock:
            if self._torn and self._left == 1:
                half = len(data) // 2
                if len(data) % PAGE == 0:  # may have to be aligned
                    half = half // PAGE * PAGE
                with suppress(OSError):
                    os.pwrite(fd, data[:half], offset)
        self._count()

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os._exit(DIED)


class CrashVfs(Vfs):
    """A Vfs that counts every call that changes something."""

    def __init__(self, countdown: Countdown) -> None:
        self._countdown = countdown

    def create(self, path: str, *, direct: bool = False) -> int:
        self._countdown.step()
        return super().create(path, direct=direct)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self._countdown.write(fd, memoryview(data), offset)
        return super().pwrite(fd, data, offset)

    def append_durably(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        self._countdown.write(fd, memoryview(b"".join(buffers)), offset)
        return super().append_durably(fd, buffers, offset)

    def allocate(self, fd: int, size: int) -> None:
        self._countdown.step()
        super().allocate(fd, size)

    def fsync(self, fd: int) -> None:
        self._countdown.step()
        super().fsync(fd)

    def fdatasync(self, fd: int) -> None:
        self._countdown.step()
        super().fdatasync(fd)

    def rename(self, source: str, target: str) -> None:
        self._countdown.step()
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self._countdown.step()
        super().unlink(path)

    def mkdir(self, path: str) -> None:
        self._countdown.step()
        super().mkdir(path)


class CrashMeta:
    """A MetadataStore whose commits count twice: before and after they take place."""

    def __init__(self, meta: LmdbStore, countdown: Countdown) -> None:
        self._countdown = countdown
        self._meta = meta

    @property
    def is_full(self) -> bool:
        return self._meta.is_full

    async def get(self, key: bytes) -> bytes | None:
        return await self._meta.get(key)

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return await self._meta.get_many(keys)

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Row]:
        return await self._meta.scan(start, stop, limit=limit, reverse=reverse)

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        self._countdown.step()
        sequence = await self._meta.commit(writes, checks)
        self._countdown.step()
        return sequence

    async def close(self) -> None:
        await self._meta.close()


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended, and how many steps it had said it had done."""

    is_dead: bool  # False: it had nothing left to do
    done: int


def run_until(
    countdown: Countdown, work: Callable[[Countdown, Callable[[], None]], Coroutine[Any, Any, None]]
) -> Death:
    """Let a fork of this process work until the countdown ends it.

    `work` calls its second argument whenever a client would have been told of success.
    """
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(work(countdown, lambda: _tell(sending)))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(sending)
    with open(receiving, "rb") as pipe:
        done = len(pipe.read())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, DIED), f"the process failed with {status}"
    return Death(status == DIED, done)


def _tell(sending: int) -> None:
    os.write(sending, b".")
