"""Latencies in logarithmic buckets: constant memory, relative error below 1 %, mergeable."""

from __future__ import annotations

from array import array

_SUB_BITS = 7
_SUB = 1 << _SUB_BITS
_BUCKETS = (40 - _SUB_BITS) * _SUB  # units of 1.024 us: up to about 13 days


class Histogram:
    """Counts of durations. Below 131 us the buckets are 1.024 us wide, above that under 1 %."""

    def __init__(self) -> None:
        self.counts = array("Q", bytes(8 * _BUCKETS))
        self.longest_ns = 0

    def record(self, duration_ns: int) -> None:
        """Count one duration."""
        unit = duration_ns >> 10
        shift = max(unit.bit_length() - _SUB_BITS, 0)
        self.counts[(shift << _SUB_BITS - 1) + (unit >> shift)] += 1
        self.longest_ns = max(self.longest_ns, duration_ns)

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        for index, count in enumerate(other.counts):
            if count:
                self.counts[index] += count
        self.longest_ns = max(self.longest_ns, other.longest_ns)

    @property
    def total(self) -> int:
        """How many durations were recorded."""
        return sum(self.counts)

    def percentile_ms(self, percent: float) -> float:
        """Return the middle of the percentile's bucket (at most the maximum), ms; 0.0 if empty."""
        total = self.total
        rank = max(1, -(-total * percent // 100))
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                return min(_middle_ns(index), self.longest_ns) / 1e6
        return 0.0

    def summary_ms(self) -> dict[str, float]:
        """Return the usual percentiles and the exact maximum, in milliseconds."""
        names = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
        found = {name: round(self.percentile_ms(percent), 3) for name, percent in names.items()}
        return {**found, "max": round(self.longest_ns / 1e6, 3)}


def _middle_ns(index: int) -> float:
    half = _SUB >> 1
    shift = max(index // half - 1, 0)
    low = (index - shift * half) << shift
    return (low + (1 << shift) / 2) * 1024
