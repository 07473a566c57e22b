"""Checked commits with bounded retry: how every change of metadata is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from s3server.errors import OperationAborted
from s3server.meta.base import Check, ConflictError, MetadataStore, Write

T = TypeVar("T")

# A conflict means that somebody else got through, so many writers of one key are served one
# after the other; the bound is for the case that they never stop.
MAX_ATTEMPTS = 100


@dataclass(slots=True)
class Plan(Generic[T]):
    """What a change will write, what must still hold for it, and what its caller is told."""

    result: T
    writes: list[Write] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


async def commit(meta: MetadataStore, make_plan: Callable[[], Awaitable[Plan[T]]]) -> T:
    """Read, decide and commit, again from the start when what was read has changed since.

    `make_plan` must read everything it decides on, and name it in its checks. A plan without
    writes is not committed. Raises OperationAborted when others were always faster.
    """
    for _ in range(MAX_ATTEMPTS):
        plan = await make_plan()
        if not plan.writes:
            return plan.result
        try:
            await meta.commit(plan.writes, plan.checks)
        except ConflictError:
            continue
        return plan.result
    raise OperationAborted
