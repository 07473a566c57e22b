"""Quantiles of `top`, of counts by time taken."""

from __future__ import annotations

import pytest

from s3server.admin.top import quantile_ms
from s3server.counters import BOUNDS_S, BUCKETS


def counts(**at: int) -> list[int]:
    return [at.get(f"b{index}", 0) for index in range(BUCKETS)]


@pytest.mark.parametrize(
    ("by_time", "share", "expected_ms"),
    [
        (counts(), 0.5, None),
        (counts(b0=10), 0.5, BOUNDS_S[0] * 500),
        (counts(b0=10), 1.0, BOUNDS_S[0] * 1000),
        (counts(b2=99, b5=1), 0.99, BOUNDS_S[2] * 1000),
        (counts(b2=98, b5=2), 0.99, (BOUNDS_S[4] + BOUNDS_S[5]) * 500),
        (counts(b19=1), 0.99, BOUNDS_S[-1] * 1000),
    ],
)
def test_quantile_lies_within_its_bucket(
    by_time: list[int], share: float, expected_ms: float | None
) -> None:
    expected = None if expected_ms is None else pytest.approx(expected_ms, abs=0.01)
    assert quantile_ms(by_time, share) == expected
