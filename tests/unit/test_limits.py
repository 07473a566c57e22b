"""Rates that workers keep together: what is let through, and what waits or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3server import limits as module
from s3server.core.project_records import ProjectRecord
from s3server.errors import SlowDown
from s3server.limits import Limits
from tests.support.core_store import ManualClock

GEO = ProjectRecord(id="1" * 12, name="geo", created_ms=0, requests_per_s=10, bytes_per_s=1_000)
BIO = ProjectRecord(id="2" * 12, name="bio", created_ms=0, requests_per_s=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def workers(tmp_path: Path, clock: ManualClock) -> list[Limits]:
    """Two that share a file."""
    file = tmp_path / "usage" / "limits"
    return [Limits(file, clock, failures_per_minute=60) for _ in range(2)]


def admitted(workers: list[Limits], project: ProjectRecord, attempts: int = 100) -> int:
    count = 0
    for attempt in range(attempts):
        try:
            workers[attempt % len(workers)].admit(project)
        except SlowDown:
            continue
        count += 1
    return count


def test_workers_let_through_together_what_one_rate_allows(
    workers: list[Limits], clock: ManualClock
) -> None:
    assert [10, 10] == [admitted(workers, GEO), admitted(workers, BIO)]
    clock.now += 500
    assert 5 == admitted(workers, GEO)
    clock.now += 60_000  # what was not used is not saved up beyond the burst
    assert 10 == admitted(workers, GEO)


def test_refused_client_is_told_when_to_come_again(workers: list[Limits]) -> None:
    slow = ProjectRecord(id="3" * 12, name="slow", created_ms=0, requests_per_s=0.25)
    with pytest.raises(SlowDown) as refused:
        workers[0].admit(slow)
    assert "3" == refused.value.headers["retry-after"]


def test_bytes_wait_for_their_turn_and_requests_are_refused_where_many_wait(
    workers: list[Limits], clock: ManualClock
) -> None:
    assert [0.0, 0.5, 1.5] == [
        workers[n % 2].pause_s(GEO, size) for n, size in enumerate((1_000, 500, 1_000))
    ]
    workers[0].admit(GEO)
    workers[0].pause_s(GEO, 9_000)
    with pytest.raises(SlowDown):
        workers[1].admit(GEO)
    clock.now += 10_000
    workers[1].admit(GEO)


def test_failures_of_an_address_are_limited_and_of_an_ipv6_network(
    workers: list[Limits], clock: ManualClock
) -> None:
    for number in range(61):
        workers[number % 2].check_failures("192.0.2.1")
        workers[number % 2].fail("192.0.2.1")
        workers[number % 2].fail(f"2001:db8:1:2::{number:x}")
    for address in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:9::1"):
        with pytest.raises(SlowDown):
            workers[0].check_failures(address)
    for address in ("192.0.2.2", "2001:db8:1:3::1"):
        workers[0].check_failures(address)
    clock.now += 1_000
    workers[0].check_failures("192.0.2.1")


def test_clock_that_is_set_back_locks_nobody_out(workers: list[Limits], clock: ManualClock) -> None:
    admitted(workers, GEO)
    clock.now -= 2 * 3_600_000
    assert 10 == admitted(workers, GEO)


def test_table_that_is_full_goes_on(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBED", 1)
    limits = Limits(tmp_path / "limits", clock, failures_per_minute=60)
    for number in range(3 * module.SLOTS):
        limits.fail(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert (tmp_path / "limits").stat().st_size == (module.SLOTS + 1) * 16
    assert 10 == admitted([limits], GEO)


def test_without_a_file_a_process_limits_for_itself(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "usage").write_text("no directory")
    for file in (None, tmp_path / "usage" / "limits"):
        assert 10 == admitted([Limits(file, clock)], GEO)
