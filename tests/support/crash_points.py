"""Processes that die at their N-th call of storage, for every N.

The process that dies is a fork of this one; what it wrote before stays in the page cache, as it
does when a server is killed. With `Fault.POWER` all goes that was not made durable (unsynced.py).
"""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from s3server.data.layout import PAGE
from s3server.data.vfs import Buffer, Vfs
from s3server.meta.base import Check, Range, Row, Write
from s3server.meta.lmdb import LmdbStore
from tests.support.unsynced import Unsynced

DIED = 137

Done = Callable[[], None]  # called whenever a client would have been told of success


class Fault(Enum):
    """How a process dies at a call: which calls count, and what is left of its work."""

    KILL = "killed before a call"
    TORN = "killed half-way in a write"  # only writes count
    BEGUN = "killed at the first bytes of a write"
    POWER = "power cut before a call"


class Countdown:
    """Ends the process at the N-th call that counts."""

    def __init__(self, steps: int, fault: Fault, graves: str = "") -> None:
        self.lock = threading.RLock()
        self.unsynced = Unsynced(graves) if fault is Fault.POWER else None
        self._steps = self._left = steps
        self._fault = fault

    def step(self) -> None:
        """Count a call that changes something and is not a write."""
        if self._fault in (Fault.KILL, Fault.POWER):
            self._count()

    def write(self, fd: int, data: memoryview, offset: int) -> None:
        """Count a write that is about to happen."""
        if self._fault in (Fault.TORN, Fault.BEGUN) and self._left == 1:
            part = len(data) // 2 if self._fault is Fault.TORN else min(9, len(data) - 1)
            if len(data) % PAGE == 0:  # may have to be aligned
                part = part // PAGE * PAGE
            with suppress(OSError):
                os.pwrite(fd, data[:part], offset)
        self._count()

    def _count(self) -> None:
        with self.lock:
            self._left -= 1
            if self._left == 0:
                if self.unsynced is not None:
                    self.unsynced.lose(fill=self._steps % 2 == 0, unlinked=self._steps % 4 < 2)
                os._exit(DIED)


class CrashVfs(Vfs):
    """A Vfs that counts every call that changes something."""

    def __init__(self, countdown: Countdown) -> None:
        self._countdown, self._unsynced = countdown, countdown.unsynced

    def create(self, path: str, *, direct: bool = False) -> int:
        with self._countdown.lock:
            self._countdown.step()
            fd = super().create(path, direct=direct)
            if self._unsynced:
                self._unsynced.created(path, fd)
            return fd

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        with self._countdown.lock:
            self._countdown.write(fd, memoryview(data), offset)
            if self._unsynced:
                self._unsynced.writing(fd)
            return super().pwrite(fd, data, offset)

    def append_durably(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        with self._countdown.lock:
            self._countdown.write(fd, memoryview(b"".join(buffers)), offset)
            was_durable = self._unsynced is not None and self._unsynced.is_durable(fd)
            written = super().append_durably(fd, buffers, offset)
            if self._unsynced and was_durable:
                self._unsynced.synced(fd)
            return written

    def allocate(self, fd: int, size: int) -> None:
        with self._countdown.lock:
            self._countdown.step()
            if self._unsynced:
                self._unsynced.writing(fd)
            super().allocate(fd, size)

    def truncate(self, fd: int, size: int) -> None:
        with self._countdown.lock:
            self._countdown.step()
            if self._unsynced:
                self._unsynced.writing(fd)
            super().truncate(fd, size)

    def fsync(self, fd: int) -> None:
        with self._countdown.lock:
            self._countdown.step()
            super().fsync(fd)
            if self._unsynced:
                self._unsynced.synced(fd)

    def fdatasync(self, fd: int) -> None:
        with self._countdown.lock:
            self._countdown.step()
            super().fdatasync(fd)
            if self._unsynced:
                self._unsynced.synced(fd)

    def rename(self, source: str, target: str) -> None:
        with self._countdown.lock:
            self._countdown.step()
            if self._unsynced:
                self._unsynced.renaming(source, target)
            super().rename(source, target)

    def unlink(self, path: str) -> None:
        with self._countdown.lock:
            self._countdown.step()
            if self._unsynced:
                self._unsynced.unlinking(path)
            super().unlink(path)

    def mkdir(self, path: str) -> None:
        with self._countdown.lock:
            self._countdown.step()
            super().mkdir(path)
            if self._unsynced:
                self._unsynced.made(path)


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

    async def scan_many(self, ranges: Sequence[Range], *, limit: int) -> list[list[Row]]:
        return await self._meta.scan_many(ranges, limit=limit)

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
    countdown: Countdown, work: Callable[[Countdown, Done], Coroutine[Any, Any, None]]
) -> Death:
    """Let a fork of this process work until the countdown ends it."""
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
