"""Coroutines that are started at once."""

from __future__ import annotations

import asyncio

import pytest

from s3server import eager


async def test_coroutine_that_never_waits_needs_no_task() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    assert eager.start(work(), asyncio.get_running_loop().create_task) is None
    assert [1] == done


async def test_coroutine_goes_on_in_a_task_once_it_waits() -> None:
    waits = asyncio.get_running_loop().create_future()
    steps: list[object] = []

    async def work() -> None:
        steps.append("before")
        steps.append(await waits)
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            steps.append("after")

    task = eager.start(work(), asyncio.get_running_loop().create_task)
    assert task is not None
    assert ["before"] == steps
    waits.set_result("value")
    await task
    assert ["before", "value", "after"] == steps


async def test_failure_of_what_is_awaited_reaches_the_coroutine() -> None:
    waits = asyncio.get_running_loop().create_future()
    caught: list[str] = []

    async def work() -> None:
        try:
            await waits
        except OSError as error:
            caught.append(str(error))

    task = eager.start(work(), asyncio.get_running_loop().create_task)
    assert task is not None
    waits.set_exception(OSError("lost"))
    await task
    assert ["lost"] == caught


async def test_cancelled_task_cancels_the_coroutine() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("cleaned up")

    task = eager.start(work(), asyncio.get_running_loop().create_task)
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["cleaned up"] == ended


async def test_error_before_the_first_wait_reaches_the_caller() -> None:
    async def work() -> None:
        raise RuntimeError("at once")

    with pytest.raises(RuntimeError, match="at once"):
        eager.start(work(), asyncio.get_running_loop().create_task)


async def test_timer_is_set_for_what_waits() -> None:
    async def ready() -> str:
        return "ready"

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    assert "ready" == await eager.within(0.0, ready())
    with pytest.raises(TimeoutError):
        await eager.within(0.01, waits())


async def test_timer_is_set_before_there_is_a_task() -> None:
    waits = asyncio.get_running_loop().create_future()
    got: list[str] = []

    async def receive() -> str:
        return await waits + await asyncio.sleep(0, " and on")

    async def work() -> None:
        got.append(await eager.within(10, receive()))
        with pytest.raises(TimeoutError):
            await eager.within(0.01, asyncio.sleep(10))

    task = eager.start(work(), asyncio.get_running_loop().create_task)
    assert task is not None
    waits.set_result("value")
    await task
    assert ["value and on"] == got
