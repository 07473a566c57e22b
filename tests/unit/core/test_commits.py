"""Checked commits: whoever loses a race starts again, in line with the others."""

from __future__ import annotations

import asyncio

import pytest

from s3server.core.commit import MAX_ATTEMPTS, Commits, Plan
from s3server.errors import OperationAborted
from s3server.meta.base import ConflictError, Put, Unchanged
from s3server.meta.memory import MemoryStore

KEY = b"number"


class Incrementer:
    """Adds one to a stored number by reading and writing it; counts its attempts."""

    def __init__(self, meta: MemoryStore, key: bytes = KEY) -> None:
        self.attempts = 0
        self._meta, self._key = meta, key

    async def plan(self) -> Plan[int]:
        self.attempts += 1
        row = await self._meta.get(self._key)
        number = int(row or b"0") + 1
        return Plan(
            number, writes=[Put(self._key, b"%d" % number)], checks=[Unchanged(self._key, row)]
        )


async def test_thousand_writers_of_one_key_all_succeed_in_few_attempts() -> None:
    meta = MemoryStore()
    commits = Commits(meta)
    writers = [Incrementer(meta) for _ in range(1_000)]
    numbers = await asyncio.gather(*(commits(writer.plan) for writer in writers))
    assert list(range(1, 1_001)) == sorted(numbers)
    assert b"1000" == await meta.get(KEY)
    assert sum(writer.attempts for writer in writers) <= 2_000


async def test_plan_without_writes_is_not_committed() -> None:
    async def nothing() -> Plan[str]:
        return Plan("result", checks=[Unchanged(KEY, b"other")])

    assert "result" == await Commits(MemoryStore())(nothing)


async def test_plan_may_ask_for_another_attempt() -> None:
    attempts = 0

    async def plan() -> Plan[int]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConflictError(Unchanged(KEY, None))
        return Plan(attempts)

    assert 3 == await Commits(MemoryStore())(plan)


async def test_endless_conflict_is_given_up() -> None:
    meta = MemoryStore()
    attempts = 0

    async def plan() -> Plan[None]:
        nonlocal attempts
        attempts += 1
        return Plan(None, writes=[Put(b"k", b"v")], checks=[Unchanged(KEY, b"never")])

    with pytest.raises(OperationAborted):
        await Commits(meta)(plan)
    assert MAX_ATTEMPTS == attempts
    assert await meta.get(b"k") is None


async def test_writers_that_cross_do_not_wait_for_each_other() -> None:
    """Each conflicts on both keys, in opposite orders."""
    meta = MemoryStore()
    commits = Commits(meta)

    def crossing(keys: list[bytes]) -> Incrementer:
        class Both(Incrementer):
            async def plan(self) -> Plan[int]:
                self.attempts += 1
                rows = await meta.get_many(keys)
                numbers = [int(row or b"0") + 1 for row in rows]
                return Plan(
                    numbers[0],
                    writes=[Put(k, b"%d" % n) for k, n in zip(keys, numbers, strict=True)],
                    checks=[Unchanged(k, row) for k, row in zip(keys, rows, strict=True)],
                )

        return Both(meta)

    writers = [crossing([b"a", b"b"]) for _ in range(20)]
    writers += [crossing([b"b", b"a"]) for _ in range(20)]
    single = [Incrementer(meta, key) for key in (b"a", b"b") for _ in range(10)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(commits(writer.plan) for writer in writers + single))
    assert [b"50", b"50"] == await meta.get_many([b"a", b"b"])


async def test_cancelled_writer_leaves_the_line() -> None:
    meta = MemoryStore()
    commits = Commits(meta)
    tasks = [asyncio.create_task(commits(Incrementer(meta).plan)) for _ in range(30)]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    done = [each for each in outcomes if isinstance(each, int)]
    assert len(done) >= 15
    assert int(await meta.get(KEY) or b"0") >= len(done)
