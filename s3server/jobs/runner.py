"""Runs the background jobs beside each other, in bounded steps, while this process has the lease.

One that is slow or throttled does not hold up the others: each is safe beside all others, and
beside itself in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from s3server.jobs.board import Board
from s3server.jobs.lease import Lease


class StepResult(Protocol):
    """What a step reports. Of a dataclass, numbers are added up for the operator."""

    @property
    def has_more(self) -> bool: ...


class Job(Protocol):
    """Background work. A step is bounded, and safe to repeat after a crash at any point."""

    name: str
    pause_s: float  # of rest after a step that left nothing to do, or failed

    async def step(self) -> StepResult: ...


class Runner:
    """Steps every job, at once while there is more to do and at intervals otherwise."""

    def __init__(
        self, jobs: Sequence[Job], lease: Lease, board: Board, *, interval_s: float
    ) -> None:
        self._jobs, self._lease, self._board = jobs, lease, board
        self._interval_s = interval_s  # between looks for a free lease
        self._turn = asyncio.Lock()
        self._log = structlog.get_logger("jobs")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. A job that fails is logged and tried again later."""
        try:
            async with asyncio.TaskGroup() as group:
                for job in self._jobs:
                    group.create_task(self._run(job, stop))
        finally:
            await self._lease.release()

    async def _run(self, job: Job, stop: asyncio.Event) -> None:
        while not stop.is_set():
            rest_s = job.pause_s
            try:
                if not await self._holds_lease():
                    rest_s = self._interval_s
                elif await self._step(job):
                    rest_s = 0.0
            except Exception:
                self._log.exception("job failed", job=job.name)
            await _wait(stop, rest_s)

    async def _holds_lease(self) -> bool:
        async with self._turn:  # two that renew it at a time would take each other for a stranger
            return await self._lease.hold()

    async def _step(self, job: Job) -> bool:
        """Do one step and tell whether there is more to do."""
        try:
            result = await job.step()
        except Exception as error:
            self._board.note(job, job.name, None, _told(error))
            raise
        else:
            self._board.note(job, job.name, result)
            return result.has_more
        finally:
            await self._board.write()


def _told(error: BaseException) -> str:
    """Return what an operator is told of an error; the first of those that came together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
