"""Runs the background jobs in turn, in bounded steps, while this process holds the lease."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from s3server.jobs.lease import Lease


class StepResult(Protocol):
    """What a step reports."""

    @property
    def has_more(self) -> bool: ...


class Job(Protocol):
    """Background work. A step is bounded, and safe to repeat after a crash at any point."""

    name: str
    pause_s: float  # of rest after a step that left nothing to do, or failed

    async def step(self) -> StepResult: ...


class Runner:
    """Steps every job, at once while there is more to do and at intervals otherwise."""

    def __init__(self, jobs: Sequence[Job], lease: Lease, *, interval_s: float) -> None:
        self._jobs, self._lease, self._interval_s = jobs, lease, interval_s
        self._due: dict[str, float] = {}  # loop time of each job's next step
        self._log = structlog.get_logger("jobs")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. A job that fails is logged and tried again later."""
        try:
            while not stop.is_set():
                if not await self._round():
                    await _wait(stop, self._interval_s)
        finally:
            await self._lease.release()

    async def _round(self) -> bool:
        """Step every job that is due once; tell whether one has more to do."""
        more, now = False, asyncio.get_running_loop().time
        for job in self._jobs:
            if self._due.get(job.name, 0.0) > now():
                continue
            has_more = False
            try:
                if not await self._lease.hold():
                    return False
                has_more = (await job.step()).has_more
            except Exception:
                self._log.exception("job failed", job=job.name)
            if not has_more:
                self._due[job.name] = now() + job.pause_s
            more |= has_more
        return more


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
