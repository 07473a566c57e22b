"""Fan-out: in a row on OSDs that answer at once, side by side on slow ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from s3server.data.workers import HANDOVER_WORTH_S, Fanout


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def fanout(clock: list[float]) -> Iterator[Fanout]:
    fanout = Fanout(4, timer=lambda: clock[0])
    yield fanout
    fanout.close()


def threads_of(fanout: Fanout, osds: list[int], job: Callable[[], None]) -> set[int]:
    seen: set[int] = set()

    def noting() -> None:
        seen.add(threading.get_ident())
        job()

    assert fanout.run([(osd, noting) for osd in osds]) == [None] * len(osds)
    return seen


def test_quick_osds_take_turns_in_the_calling_thread(fanout: Fanout) -> None:
    for _ in range(5):
        assert threads_of(fanout, [1, 2, 3], lambda: None) == {threading.get_ident()}


def test_slow_osds_work_side_by_side(fanout: Fanout, clock: list[float]) -> None:
    def slow() -> None:
        clock[0] += 100 * HANDOVER_WORTH_S

    assert threads_of(fanout, [1, 2, 3], slow) == {threading.get_ident()}
    together = threading.Barrier(3, timeout=60)
    assert len(threads_of(fanout, [1, 2, 3], lambda: void(together.wait()))) == 3


def void(_: object) -> None:
    return None


def test_each_job_has_its_own_outcome(fanout: Fanout) -> None:
    broken = OSError(5, "broken")

    def fail() -> None:
        raise broken

    assert fanout.run([(1, fail), (2, lambda: None), (3, fail)]) == [broken, None, broken]
