"""Latencies are kept to three digits, travel as text, and add up."""

from __future__ import annotations

import pickle

import pytest

from bench.latency import decoded, encoded, histogram, record, summary
from bench.tally import Tally
from bench.workload import Request


def test_percentiles_of_a_uniform_distribution() -> None:
    one = histogram()
    for duration_ns in range(100_000, 100_000_001, 100_000):
        record(one, duration_ns)
    found = summary(one)
    assert (50.0, 90.0, 99.0, 99.9) == pytest.approx(
        (found.p50, found.p90, found.p99, found.p99_9), rel=0.002
    )


def test_what_is_out_of_range_is_counted_at_its_edge() -> None:
    one = histogram()
    record(one, 0)
    record(one, 10**17)
    assert 2 == one.get_total_count()
    assert summary(one).max == pytest.approx(3_600_000, rel=0.001)


def test_an_empty_histogram_has_no_latency() -> None:
    assert 0.0 == summary(histogram()).p99


def test_a_tally_that_was_sent_to_another_process_merges_as_if_counted_there() -> None:
    request = Request("get", b"", 200, 100)
    parts = [Tally(0, 10**10), Tally(0, 10**10)]
    for number in range(1, 1001):
        parts[number % 2].add(request, 0, 0, number * 1_000_000)
    parts[1].fail("503 SlowDown", "HTTP/1.1 503\r\n", 5)
    total, other = (pickle.loads(pickle.dumps(part)) for part in parts)
    total.merge(other)
    assert (1000, 100_000, {"503 SlowDown": 1}) == (
        total.completed["get"],
        total.size,
        dict(total.errors),
    )
    assert summary(total.latency["get"]).p50 == pytest.approx(500, rel=0.005)
    assert total.latency["get"].get_total_count() == 1000
    assert encoded(decoded(encoded(total.latency["get"]))) == encoded(total.latency["get"])
