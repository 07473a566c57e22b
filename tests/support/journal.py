"""What clients were told, kept outside the server: the oracle of the crash tests.

A register is a key or a bucket. Every write has an interval, from its invocation to its answer; a
write whose answer never came may take place until the server is known to be dead. What a read may
return follows from the intervals alone: any write that no acknowledged write has superseded, one
superseding another where it was invoked after the other had been answered.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Value = int | None  # the id of a value; None is absence


@dataclass(eq=False, slots=True)
class Op:
    """One write of one register. `values` are those of which it stores one."""

    values: Callable[[], Iterable[Value]]
    invoked: int
    answered: float = math.inf
    is_acknowledged: bool = False


@dataclass(slots=True)
class Register:
    """The writes that may still matter, and every value that the register may ever have held."""

    ops: list[Op]
    ever: set[int] = field(default_factory=set)

    def allowed(self, begin: float, end: float) -> set[Value]:
        """Return what a read between two times may have found."""
        superseded = max(
            (op.invoked for op in self.ops if op.is_acknowledged and op.answered < begin), default=0
        )
        return {
            value
            for op in self.ops
            if op.invoked < end and op.answered >= superseded
            for value in op.values()
        }


class UnknownOutcome(Exception):
    """A request was sent and nobody knows what became of it."""


class Journal:
    """All registers. Its time is a counter, so that no two events are simultaneous."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)
        self._registers: dict[tuple[str, str], Register] = {}
        self._reads: set[int] = set()  # when those that go on began
        self.acknowledged = self.unknown = 0
        self.cut = 0  # requests whose outcome is unknown, however many keys each wrote

    def now(self) -> int:
        """Return a time later than all before."""
        return next(self._ticks)

    def register(self, bucket: str, key: str = "") -> Register:
        """Return a key's register, or with `key` empty that of a bucket; at first it is absent."""
        found = self._registers.get((bucket, key))
        if found is None:
            first = Op(lambda: (None,), 0, 0, is_acknowledged=True)
            found = self._registers[bucket, key] = Register([first])
        return found

    @property
    def names(self) -> list[tuple[str, str]]:
        """All (bucket, key) that were ever written."""
        return list(self._registers)

    @contextmanager
    def writing(self, *registers: Register, values: Callable[[], Iterable[Value]]) -> Iterator[Op]:
        """Record one request that writes registers; leaving normally is its acknowledgement.

        UnknownOutcome leaves it open; any other exception says for certain that it changed
        nothing.
        """
        ops = [Op(values, self.now()) for _ in registers]
        for register, op in zip(registers, ops, strict=True):
            register.ops.append(op)
            register.ever.update(value for value in values() if value is not None)
        try:
            yield ops[0]
        except UnknownOutcome:
            self.unknown += len(ops)
            self.cut += 1
            raise
        except BaseException:
            for register, op in zip(registers, ops, strict=True):
                register.ops.remove(op)
            raise
        answered = self.now()
        self.acknowledged += len(ops)
        for register, op in zip(registers, ops, strict=True):
            op.answered, op.is_acknowledged = answered, True
            register.ever.update(value for value in op.values() if value is not None)
            self._forget(register)

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Record a read; yield when it began."""
        begin = self.now()
        self._reads.add(begin)
        try:
            yield begin
        finally:
            self._reads.remove(begin)

    def _forget(self, register: Register) -> None:
        """Drop what no read can find any more."""
        since = min(self._reads, default=math.inf)
        acknowledged = (op for op in register.ops if op.is_acknowledged and op.answered < since)
        superseded = max((op.invoked for op in acknowledged), default=0)
        register.ops = [op for op in register.ops if op.answered >= superseded]

    def settle(self, register: Register, found: Value) -> None:
        """Take what a read found while nobody writes, and nothing can come late, for the truth."""
        now = self.now()
        if found is not None:
            register.ever.add(found)
        register.ops = [Op(lambda: (found,), now, now, is_acknowledged=True)]
