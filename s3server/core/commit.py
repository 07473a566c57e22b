"""Checked commits with bounded retry: how every change of metadata is made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from s3server.errors import OperationAborted, QuotaExceeded
from s3server.meta.base import AtMost, Check, ConflictError, Empty, MetadataStore, Unchanged, Write

T = TypeVar("T")

# A conflict means that somebody else got through, so writers of one key are served one after the
# other; the bound is for the case that those of other processes never stop.
MAX_ATTEMPTS = 100


@dataclass(slots=True)
class Plan(Generic[T]):
    """What a change will write, what must still hold for it, and what its caller is told."""

    result: T
    writes: list[Write] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    # What follows the commit, before the caller is told; each is given the commit's sequence.
    after: list[Callable[[int], Awaitable[None]]] = field(default_factory=list)


class Commits:
    """Makes commits on one store.

    Whoever meets a conflict waits in line, with the others of this process that met one on the
    same key: a thousand writers of one key then cost two thousand attempts, not half a million.
    """

    def __init__(self, meta: MetadataStore) -> None:
        self._meta = meta
        self._lines: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, make_plan: Callable[[], Awaitable[Plan[T]]]) -> T:
        """Read, decide and commit, again from the start when what was read has changed since.

        `make_plan` must read everything it decides on, and name it in its checks; it may raise
        ConflictError itself where what it read does not fit together. A plan without writes is
        not committed. Raises OperationAborted when others were always faster, QuotaExceeded where
        a limit does not hold.
        """
        plan, sequence = await self._attempt(make_plan)
        for follow in plan.after:
            await follow(sequence)
        return plan.result

    async def _attempt(self, make_plan: Callable[[], Awaitable[Plan[T]]]) -> tuple[Plan[T], int]:
        """Return the plan that was committed, and the commit's sequence; 0 if it wrote nothing."""
        turn: asyncio.Lock | None = None
        try:
            for _ in range(MAX_ATTEMPTS):
                try:
                    sequence, plan = 0, await make_plan()
                    if plan.writes:
                        sequence = await self._meta.commit(plan.writes, plan.checks)
                except ConflictError as conflict:
                    check = conflict.args[0]
                    if isinstance(check, AtMost):  # nothing to wait for
                        raise quota_exceeded(check) from None
                    line = self._line(check)
                    if line is not turn:
                        if turn is not None:  # never two at a time: nobody waits in a circle
                            turn.release()
                            turn = None
                        await line.acquire()
                        turn = line
                else:
                    return plan, sequence
        finally:
            if turn is not None:
                turn.release()
        raise OperationAborted

    def _line(self, check: Unchanged | Empty) -> asyncio.Lock:
        key = check.key if isinstance(check, Unchanged) else check.start
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = asyncio.Lock()
        return line


def quota_exceeded(limit: AtMost) -> QuotaExceeded:
    """Return the error of a limit that does not hold."""
    return QuotaExceeded(f"The quota of the {limit.whose} would be exceeded.")
