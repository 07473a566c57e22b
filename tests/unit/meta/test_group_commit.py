"""The committer thread: what becomes a batch, and that no caller waits for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from s3server.meta.base import ConflictError, UnavailableError
from s3server.meta.group_commit import MAX_BATCH, MAX_WAITING, Batch, GroupCommit, Outcome


class Engine:
    """Notes the size of each batch; waits before each one until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.started = threading.Event()
        self.go = threading.Event()

    def apply(self, batch: Batch) -> list[Outcome]:
        self.sizes.append(len(batch))
        self.started.set()
        assert self.go.wait(60)
        return list(range(len(batch)))


async def started(commits: GroupCommit, engine: Engine) -> asyncio.Future[int]:
    """Submit one commit and return when the thread works on it."""
    first = commits.submit([], [])
    assert await asyncio.to_thread(engine.started.wait, 60)
    return first


async def test_all_that_waited_during_a_transaction_is_the_next_batch() -> None:
    engine = Engine()
    commits = GroupCommit(engine.apply)
    futures = [await started(commits, engine), *(commits.submit([], []) for _ in range(40))]
    engine.go.set()
    assert [0, *range(40)] == await asyncio.gather(*futures)
    assert [1, 40] == engine.sizes
    await commits.close()


async def test_what_comes_while_the_engine_waits_for_its_lock_is_of_the_batch() -> None:
    engine = Engine()

    def apply(batch: Batch) -> list[Outcome]:
        engine.apply(batch)  # as it waits
        batch.grow()
        engine.sizes.append(len(batch))
        return list(range(len(batch)))

    commits = GroupCommit(apply)
    futures = [await started(commits, engine), *(commits.submit([], []) for _ in range(40))]
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    engine.go.set()
    assert list(range(41)) == await asyncio.gather(*futures)
    await closing
    assert [1, 41] == engine.sizes


async def test_batch_is_bounded() -> None:
    engine = Engine()
    commits = GroupCommit(engine.apply)
    futures = [await started(commits, engine)]
    futures += [commits.submit([], []) for _ in range(MAX_BATCH + 1)]
    engine.go.set()
    await asyncio.gather(*futures)
    assert [1, MAX_BATCH, 1] == engine.sizes
    await commits.close()


async def test_queue_is_bounded() -> None:
    engine = Engine()
    commits = GroupCommit(engine.apply)
    futures = [await started(commits, engine)]
    futures += [commits.submit([], []) for _ in range(MAX_WAITING)]
    with pytest.raises(UnavailableError, match="are waiting"):
        commits.submit([], [])
    engine.go.set()
    await asyncio.gather(*futures)
    assert 1 + MAX_WAITING == sum(engine.sizes)
    await commits.close()


async def test_each_caller_gets_its_own_outcome() -> None:
    commits = GroupCommit(lambda batch: [7 if one.writes else ConflictError() for one in batch])
    outcomes = await asyncio.gather(
        commits.submit([], []), commits.submit(["x"], []), return_exceptions=True
    )
    assert [ConflictError, int] == [type(outcome) for outcome in outcomes]
    await commits.close()


async def test_fault_in_the_engine_reaches_the_caller_and_the_thread_lives_on() -> None:
    faults = [ZeroDivisionError("a fault")]

    def apply(batch: Batch) -> list[Outcome]:
        if faults:
            raise faults.pop()
        return [1 for _ in batch]

    commits = GroupCommit(apply)
    with pytest.raises(UnavailableError, match="a fault"):
        await commits.submit([], [])
    assert 1 == await commits.submit([], [])
    await commits.close()


async def test_closed_committer_refuses() -> None:
    commits = GroupCommit(lambda batch: [1 for _ in batch])
    await commits.close()
    with pytest.raises(UnavailableError, match="closed"):
        commits.submit([], [])
