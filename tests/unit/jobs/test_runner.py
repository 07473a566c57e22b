"""The lease lets one process work; the runner steps its jobs, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from s3server.core.records import encode, store_key
from s3server.core.upkeep_records import LeaseRecord
from s3server.jobs.board import WRITE_EVERY_MS, Board, job_records
from s3server.jobs.lease import Lease
from s3server.jobs.runner import Runner
from s3server.meta.base import Check, FullError, Put, UnavailableError, Write
from s3server.meta.memory import MemoryStore
from tests.support.core_store import ManualClock

DURATION_MS = 60_000


class Result:
    def __init__(self, has_more: bool) -> None:
        self.has_more = has_more


class Job:
    """Has as much to do as `steps` says; fails once for each step in `failing`."""

    def __init__(
        self,
        name: str,
        steps: int,
        *,
        failing: frozenset[int] = frozenset(),
        pause_s: float = 3600.0,
    ) -> None:
        self.name, self.done, self.pause_s = name, 0, pause_s
        self._steps, self._failing = steps, failing

    async def step(self) -> Result:
        self.done += 1
        if self.done in self._failing:
            raise RuntimeError(f"step {self.done}")
        return Result(self.done < self._steps)


class Stopper:
    """A job that ends the test after some rounds."""

    name = "stopper"
    pause_s = 0.0

    def __init__(self, stop: asyncio.Event, rounds: int) -> None:
        self._stop, self._rounds = stop, rounds

    async def step(self) -> Result:
        self._rounds -= 1
        if not self._rounds:
            self._stop.set()
        return Result(self._rounds > 0)


@pytest.fixture
def meta() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def lease_of(meta: MemoryStore, clock: ManualClock, holder: bytes) -> Lease:
    return Lease(meta, "jobs", holder=holder, clock=clock, duration_ms=DURATION_MS)


async def test_one_holds_until_the_lease_ends(meta: MemoryStore, clock: ManualClock) -> None:
    first, second = lease_of(meta, clock, b"1"), lease_of(meta, clock, b"2")
    assert (True, True, False) == (await first.hold(), await first.hold(), await second.hold())
    clock.now += DURATION_MS - 1
    assert not await second.hold()
    clock.now += 1
    assert (True, False) == (await second.hold(), await first.hold())


async def test_holder_renews_before_the_end(meta: MemoryStore, clock: ManualClock) -> None:
    first, second = lease_of(meta, clock, b"1"), lease_of(meta, clock, b"2")
    for _ in range(10):
        assert await first.hold()
        clock.now += DURATION_MS * 3 // 4
        assert not await second.hold()


async def test_released_lease_is_free_at_once(meta: MemoryStore, clock: ManualClock) -> None:
    first, second = lease_of(meta, clock, b"1"), lease_of(meta, clock, b"2")
    await first.hold()
    await second.release()
    assert not await second.hold()
    await first.release()
    assert await second.hold()


async def test_one_of_many_takes_a_free_lease(meta: MemoryStore, clock: ManualClock) -> None:
    leases = [lease_of(meta, clock, bytes([n])) for n in range(16)]
    assert 1 == sum(await asyncio.gather(*(lease.hold() for lease in leases)))


async def test_lease_from_a_clock_years_ahead_does_not_stand(
    meta: MemoryStore, clock: ManualClock
) -> None:
    record = LeaseRecord(holder=b"1", until_ms=clock.now + 10 * 365 * 86_400_000)
    await meta.commit([Put(store_key("lease/jobs"), encode(record))])
    assert await lease_of(meta, clock, b"2").hold()


async def test_lease_needs_no_space_on_a_full_disk(clock: ManualClock) -> None:
    """The collector is what makes space again."""

    class Full(MemoryStore):
        async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
            raise FullError("no space for metadata")

    meta = Full()
    assert await lease_of(meta, clock, b"1").hold()
    record = LeaseRecord(holder=b"2", until_ms=clock.now + DURATION_MS)
    await MemoryStore.commit(meta, [Put(store_key("lease/jobs"), encode(record))])
    assert not await lease_of(meta, clock, b"1").hold()


async def test_jobs_are_stepped_while_they_have_more(meta: MemoryStore, clock: ManualClock) -> None:
    stop = asyncio.Event()
    busy = Job("busy", 5)
    runner = Runner(
        [busy, Stopper(stop, 20)], lease_of(meta, clock, b"1"), Board(meta, clock), interval_s=3600
    )
    async with asyncio.timeout(60):
        await runner.run(stop)
    assert 5 == busy.done
    assert await meta.get(store_key("lease/jobs")) is None


async def test_job_with_nothing_to_do_rests_for_its_pause(
    meta: MemoryStore, clock: ManualClock
) -> None:
    stop, idle = asyncio.Event(), Job("idle", 1, pause_s=3600)
    runner = Runner(
        [idle, Stopper(stop, 5)], lease_of(meta, clock, b"1"), Board(meta, clock), interval_s=3600
    )
    async with asyncio.timeout(60):
        await runner.run(stop)
    assert 1 == idle.done


async def test_job_that_fails_does_not_stop_the_others(
    meta: MemoryStore, clock: ManualClock
) -> None:
    stop = asyncio.Event()
    broken = Job("broken", 4, failing=frozenset({1, 2, 3}), pause_s=0.0)
    jobs = [broken, Job("other", 4), Stopper(stop, 50)]
    async with asyncio.timeout(60):
        await Runner(jobs, lease_of(meta, clock, b"1"), Board(meta, clock), interval_s=3600).run(
            stop
        )
    assert broken.done > 3


async def test_operator_is_told_why_one_of_several_tasks_of_a_job_failed(
    meta: MemoryStore, clock: ManualClock
) -> None:
    class Several(Job):
        async def step(self) -> Result:
            async with asyncio.TaskGroup() as group:
                group.create_task(super().step())
            return Result(False)

    stop = asyncio.Event()
    jobs = [Several("several", 1, failing=frozenset({1})), Stopper(stop, 5)]
    board = Board(meta, clock)
    async with asyncio.timeout(60):
        await Runner(jobs, lease_of(meta, clock, b"1"), board, interval_s=3600).run(stop)
    clock.now += WRITE_EVERY_MS
    await board.write()
    told = {record.name: record.error for record in await job_records(meta)}
    assert told == {"several": "RuntimeError: step 1", "stopper": ""}


async def test_nothing_runs_while_another_holds_the_lease(
    meta: MemoryStore, clock: ManualClock
) -> None:
    await lease_of(meta, clock, b"other").hold()
    stop, job = asyncio.Event(), Job("job", 1)
    running = asyncio.create_task(
        Runner([job], lease_of(meta, clock, b"1"), Board(meta, clock), interval_s=3600).run(stop)
    )
    for _ in range(20):
        await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(60):
        await running
    assert 0 == job.done
    assert not await lease_of(meta, clock, b"third").hold()


async def test_lease_that_cannot_be_read_is_tried_again(clock: ManualClock) -> None:
    class Flaky(MemoryStore):
        failures = 1

        async def get(self, key: bytes) -> bytes | None:
            if self.failures:
                self.failures -= 1
                raise UnavailableError("not now")
            return await super().get(key)

    stop = asyncio.Event()
    jobs = [Job("first", 1), Stopper(stop, 1)]
    meta = Flaky()
    runner = Runner(jobs, lease_of(meta, clock, b"1"), Board(meta, clock), interval_s=3600)
    async with asyncio.timeout(60):
        await runner.run(stop)
    assert stop.is_set()
