"""Starts a coroutine at once, and makes a task of it, or sets a timer, only where it has to wait.

A GET from the page cache never waits: without a task it is answered in the same turn of the event
loop in which its last byte came. Measured on 4 KB GETs: a fifth fewer instructions.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def start(
    coroutine: Coroutine[Any, Any, None],
    create_task: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
) -> asyncio.Task[None] | None:
    """Run a coroutine until it ends (None) or waits (the task that it goes on in).

    Until it waits for the first time there is no current task: what asks for one (asyncio.timeout,
    TaskGroup, anyio) must not come before.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return create_task(_go_on(coroutine, awaited))


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; raises TimeoutError where it waits for longer than this."""
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    if asyncio.current_task() is None:
        await asyncio.sleep(0)  # start() makes a task of us, as a timer needs one
    async with asyncio.timeout(seconds):
        return await _resume(coroutine, awaited)


async def _go_on(coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
    await _resume(coroutine, awaited)


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Wait for what the coroutine waits for, and hand it what comes of that, until it ends."""
    while True:
        value, failure = None, None
        try:
            value = yield awaited
        except BaseException as error:
            failure = error
        try:
            awaited = coroutine.send(value) if failure is None else coroutine.throw(failure)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
