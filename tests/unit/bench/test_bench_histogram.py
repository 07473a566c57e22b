"""The histogram is exact to 1 %, and merging equals recording together."""

from __future__ import annotations

import pytest

from bench.histogram import Histogram


def filled(durations_ns: range) -> Histogram:
    histogram = Histogram()
    for duration in durations_ns:
        histogram.record(duration)
    return histogram


@pytest.mark.parametrize("duration_ns", [200_000, 1_000_000, 123_456_789, 60 * 10**9])
def test_a_duration_is_kept_to_one_percent(duration_ns: int) -> None:
    histogram = filled(range(duration_ns, duration_ns + 1))
    assert histogram.percentile_ms(50) == pytest.approx(duration_ns / 1e6, rel=0.01)


def test_percentiles_of_a_uniform_distribution() -> None:
    histogram = filled(range(0, 100_000_000, 100_000))
    for percent in (10.0, 50.0, 90.0, 99.0, 99.9):
        assert histogram.percentile_ms(percent) == pytest.approx(percent, rel=0.012)


def test_buckets_rise_with_the_duration() -> None:
    seen = []
    for power in range(10, 40):
        for step in range(4):
            histogram = filled(
                range(
                    (1 << power) + step * (1 << power - 2),
                    (1 << power) + step * (1 << power - 2) + 1,
                )
            )
            seen.append(histogram.percentile_ms(50))
    assert sorted(seen) == seen
    assert len(set(seen)) > 100


def test_merging_equals_recording_together() -> None:
    together = filled(range(1_000, 2_000_000, 1_000))
    merged = filled(range(1_000, 1_000_000, 1_000))
    merged.merge(filled(range(1_000_000, 2_000_000, 1_000)))
    assert together.counts == merged.counts
    assert together.summary_ms() == merged.summary_ms()


def test_an_empty_histogram_has_no_latency() -> None:
    assert 0.0 == Histogram().percentile_ms(99)
