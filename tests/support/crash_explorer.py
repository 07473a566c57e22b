"""Lets programs die at every call of storage and judges what each death has left.

`python crash_explorer.py DIRECTORY CODEC FAULTS PROGRAM...` prints how many points there were; it
ends with an AssertionError at the first one after which something is wrong. A PROGRAM is one of
crash_programs.PROGRAMS or a number, the seed of a random one. It is a process of its own as it
forks thousands of times, and forking the process of a test suite takes three times as long.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import shutil
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from s3server.core.clock import SystemClock
from s3server.meta.restore import stored_state
from tests.support.blobs import CLUSTER
from tests.support.crash_image import StoreImage, quick_stores
from tests.support.crash_points import Countdown, Done, Fault, run_until
from tests.support.crash_programs import PROGRAMS, contents, opened, random_program
from tests.support.crash_steps import Program, heal
from tests.support.store_audit import audit, clean

LENGTH = 8  # of a random program


@dataclass
class Explorer:
    """Lets a program die at every call, and judges what each death has left."""

    root: Path
    codec: str
    program: Program
    points: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.program.name} {self.codec}")
        self.models = self.program.models()
        self.image = StoreImage(self.root, self.codec, self.program)
        self.store = self.image.store
        gc.collect()
        gc.freeze()  # forks share what the collector does not touch

    def explore(self, fault: Fault) -> int:
        """Die by this fault at every call; return how many there were."""
        for call in itertools.count(1):
            self.image.restore()
            work = partial(self._work, self.program)
            death = run_until(Countdown(call, fault, self._graves()), work)
            where = f"{self.program.name}, {self.codec}, {fault.value}, number {call}"
            if death.is_dead and self.chance.random() < 0.1:  # and again, while it recovers
                again = self.chance.randrange(1, 40)
                run_until(Countdown(again, fault, self._graves()), self._recover)
                where += f", then {again}"
            asyncio.run(self._judge(death.done, f"{where}: {death.done} steps were done"))
            if not death.is_dead:
                assert len(self.program.steps) == death.done, where
                self.points += call - 1
                return call - 1
        raise AssertionError

    async def _work(self, program: Program, countdown: Countdown, done: Done) -> None:
        async with opened(self.store, self.codec, 2, countdown) as store:
            for step in program.steps:
                await step.run(store)
                done()

    async def _recover(self, countdown: Countdown, done: Done) -> None:
        async with opened(self.store, self.codec, 3, countdown) as store:
            await clean(store.stopped, SystemClock().now_ms())

    async def _judge(self, done: int, where: str) -> None:
        """See that the store is as a step left it, also once all is freed that can be."""
        allowed = self.models[done : done + 2]
        async with opened(self.store, self.codec, 4) as store:
            found = await contents(store)
            assert found in allowed, where
            stored = stored_state(list(store.stopped.cluster.osds.values()), CLUSTER)
            rows = await store.lmdb.scan(b"", b"\xff" * 20, limit=1_000_000)
            assert rows == list(stored.rows()), f"{where}: restored metadata differ"
            before = await audit(store.stopped)
            assert [] == before.problems, where
            await heal(store)
        async with opened(self.store, self.codec, 5) as store:
            await clean(store.stopped, SystemClock().now_ms())
            after = await audit(store.stopped)
            assert [] == after.problems, where
            assert (0, 0, 0, 0, 0, 0) == (
                after.degraded, after.garbage, after.dead_shard_files, after.unfinished_files,
                after.dead_volumes, after.sparse_volumes,
            ), f"{where}: {after}"  # fmt: skip
            assert found == await contents(store), where

    def _graves(self) -> str:
        graves = self.store / "graves"
        shutil.rmtree(graves, ignore_errors=True)
        graves.mkdir()
        return str(graves)


def main(directory: str, codec: str, faults: str, *programs: str) -> None:
    """Explore programs, and print the count of points."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    points = 0
    with quick_stores():
        for name in programs:
            number = int(name) if name.isdecimal() else None
            program = PROGRAMS[name] if number is None else random_program(number, LENGTH)
            explorer = Explorer(Path(directory), codec, program)
            for fault in faults.split(","):
                explorer.explore(Fault[fault])
            points += explorer.points
    print(points)


if __name__ == "__main__":
    main(*sys.argv[1:])
