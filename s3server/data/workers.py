"""Where blocking calls run: off the event loop, and side by side on several OSDs where it pays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

from aiofiles.os import wrap

from s3server.data.osd_set import OsdSet
from s3server.data.threads import HungError, Threads

P = ParamSpec("P")
T = TypeVar("T")

# A job that is expected to take longer than this is worth handing to another thread (0.1 ms).
HANDOVER_WORTH_S = 0.0005


class Workers:
    """Threads for blocking jobs of several system calls each."""

    def __init__(self, count: int) -> None:
        self._executor = Threads(count, name="data")

    def start(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start a job. Cancelling the future drops a job that waits; a running one goes on."""
        call = partial(job, *args, **kwargs)
        future = asyncio.get_running_loop().run_in_executor(self._executor, call)
        future.add_done_callback(_look_at)
        return future

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a job and return what it returns."""
        return await wrap(job)(*args, executor=self._executor, **kwargs)

    def give_up(self, stuck: Collection[int]) -> None:
        """Let jobs that are stuck in these threads fail with HungError."""
        self._executor.give_up(stuck)

    def close(self) -> None:
        """Wait for running jobs and end the threads."""
        self._executor.shutdown()


def _look_at(future: asyncio.Future[T]) -> None:
    """Mark the error of an abandoned job as seen, so that asyncio does not report it."""
    if not future.cancelled():
        future.exception()


class Fanout:
    """Runs one job per OSD: in a row where OSDs answer at once, side by side where they do not.

    On media that sync in 0.2 ms handing over costs more than it saves, on disks that take 10 ms
    it saves most of the time; the mean of what each OSD took decides.
    """

    def __init__(
        self,
        count: int = 16,
        timer: Callable[[], float] = time.perf_counter,
        *,
        osds: OsdSet | None = None,
        in_turn: bool = True,
    ) -> None:
        """Prepare; not `in_turn`: no job is run by the caller, who is therefore never stuck."""
        self._executor = Threads(count, name="osd")
        self._osds, self._first = osds or OsdSet({}), int(in_turn)
        self._timer = timer
        self._mean_s: dict[int, float] = {}

    def run(self, jobs: Sequence[tuple[int, Callable[[], None]]]) -> list[OSError | None]:
        """Run (OSD, job) pairs and return for each the OSError it ended with, or None."""
        slow = [at for at, (osd, _) in enumerate(jobs) if not self._first or self._is_slow(osd)]
        handed = {at: self._executor.submit(self._timed, *jobs[at]) for at in slow[self._first :]}
        done = {at: self._timed(*job) for at, job in enumerate(jobs) if at not in handed}
        for at, future in handed.items():
            try:
                done[at] = future.result()
            except HungError as error:
                done[at] = error
        return [done[at] for at in range(len(jobs))]

    def give_up(self, stuck: Collection[int]) -> None:
        """Let jobs that are stuck in these threads end with HungError."""
        self._executor.give_up(stuck)

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown()

    def _is_slow(self, osd: int) -> bool:
        return self._mean_s.get(osd, 0.0) > HANDOVER_WORTH_S

    def _timed(self, osd: int, job: Callable[[], None]) -> OSError | None:
        if osd in self._osds.silent:
            return HungError()
        began = self._timer()
        try:
            with self._osds.calling(osd):
                job()
        except OSError as error:
            return error
        finally:
            mean = self._mean_s.get(osd, 0.0)
            self._mean_s[osd] = mean + (self._timer() - began - mean) / 8
        return None
