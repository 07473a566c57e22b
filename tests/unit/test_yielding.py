"""Threads that wait for disks do not take the event loop's processor; it gives it to them."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3server import yielding
from s3server.data.threads import Threads
from s3server.meta.group_commit import Batch, GroupCommit, Outcome
from s3server.process import turns
from s3server.process.turns import MOST, YIELD_EVERY, Turns


def policy() -> int:
    return os.sched_getscheduler(threading.get_native_id())


def knows_policies() -> bool:
    def choose() -> None:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(choose).exception() is None


needs_policies = pytest.mark.skipif(not knows_policies(), reason="the sandbox has SCHED_OTHER only")


@needs_policies
def test_threads_that_call_osds_give_way() -> None:
    threads = Threads(1, name="osd")
    try:
        assert os.SCHED_BATCH == threads.submit(policy).result(60)
    finally:
        threads.shutdown()
    assert os.SCHED_OTHER == policy()


@needs_policies
async def test_thread_that_commits_gives_way() -> None:
    def apply(batch: Batch) -> list[Outcome]:
        return [policy()] * len(batch)

    commits = GroupCommit(apply)
    assert os.SCHED_BATCH == await commits.submit([], [])
    await commits.close()


@needs_policies
def test_policy_that_somebody_chose_stays() -> None:
    def chosen() -> int:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        yielding.give_way()
        return policy()

    threads = Threads(1, name="osd")
    try:
        assert os.SCHED_IDLE == threads.submit(chosen).result(60)
    finally:
        threads.shutdown()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.ENOSYS])
def test_thread_goes_on_where_a_sandbox_has_no_such_policy(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    threads = Threads(1, name="osd")
    try:
        assert os.SCHED_OTHER == threads.submit(policy).result(60)
    finally:
        threads.shutdown()


class Connection:
    def take(self, data: bytes) -> None:
        """Data that was put off is served."""


async def test_turn_lets_threads_go_first_only_where_requests_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go: list[int] = []
    monkeypatch.setattr(turns, "let_others_go", lambda: let_go.append(1))
    few = Turns()
    assert not any(few.is_over(1.0) for _ in range(MOST))
    await asyncio.sleep(0)
    assert [] == let_go
    assert few.is_over(1.0)
    for _ in range(2 * YIELD_EVERY):
        few.put_off(Connection(), b"")  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert [1, 1] == let_go
