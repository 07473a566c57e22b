"""The board tells what jobs do, at a bounded rate, and how long they will take."""

from __future__ import annotations

from dataclasses import dataclass

from s3server.jobs.board import IDLE_EVERY_MS, WRITE_EVERY_MS, Board, Progress, job_records
from s3server.meta.memory import MemoryStore
from tests.support.core_store import ManualClock


@dataclass
class Done:
    blobs: int = 0
    has_more: bool = False


class Job:
    def __init__(self) -> None:
        self.progress = Progress(unit="blobs")


async def test_rate_and_time_left_follow_from_progress() -> None:
    meta, clock, job = MemoryStore(), ManualClock(), Job()
    board = Board(meta, clock)
    job.progress.total = 1_000
    for _ in range(11):
        board.note(job, "repair", Done(blobs=10, has_more=True))
        await board.write()
        clock.now += 1_000
        job.progress.done += 10
    board.note(job, "repair", Done(blobs=10, has_more=True))
    clock.now += WRITE_EVERY_MS
    await board.write()
    (record,) = await job_records(meta)
    assert (record.state, record.done, record.total) == ("working", 110, 1_000)
    assert record.counts == (("blobs", 120),)
    assert 8 < record.per_s <= 10
    assert record.eta_s is not None
    assert 89 <= record.eta_s < 112


async def test_rows_are_written_at_a_bounded_rate_and_idle_ones_seldom() -> None:
    class Counting(MemoryStore):
        commits = 0

        async def commit(self, *args: object, **kwargs: object) -> int:
            self.commits += 1
            return await super().commit(*args, **kwargs)  # type: ignore[arg-type]

    meta, clock = Counting(), ManualClock()
    board = Board(meta, clock)
    for number in range(1_000):
        board.note(object(), "busy", Done(number + 1, has_more=True))
        await board.write()
        clock.now += 10
    assert meta.commits == 10_000 // WRITE_EVERY_MS
    meta.commits = 0
    for _ in range(240):
        board.note(object(), "busy", Done())
        await board.write()
        clock.now += 1_000
    assert 240_000 // IDLE_EVERY_MS <= meta.commits <= 240_000 // IDLE_EVERY_MS + 2


async def test_failure_is_told_until_the_next_step_that_works() -> None:
    meta, clock = MemoryStore(), ManualClock()
    board = Board(meta, clock)
    board.note(object(), "sweep", None, "OSError: away")
    await board.write()
    (record,) = await job_records(meta)
    assert (record.state, record.error) == ("failed", "OSError: away")
    clock.now += WRITE_EVERY_MS
    board.note(object(), "sweep", Done())
    await board.write()
    (record,) = await job_records(meta)
    assert (record.state, record.error) == ("idle", "")
