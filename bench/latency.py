"""Latencies as HDR histograms: 1 us to an hour, three digits, mergeable."""

from __future__ import annotations

import msgspec
from hdrh.histogram import HdrHistogram

_LONGEST_US = 3600 * 10**6
_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


class Latency(msgspec.Struct, frozen=True):
    """Percentiles and the longest, in milliseconds; 0 where nothing was recorded."""

    p50: float
    p90: float
    p99: float
    p99_9: float = msgspec.field(name="p99.9")
    max: float


def histogram() -> HdrHistogram:
    """Return an empty histogram."""
    return HdrHistogram(1, _LONGEST_US, 3)


def record(into: HdrHistogram, duration_ns: int) -> None:
    """Count one duration; shorter than a microsecond or longer than an hour counts as that."""
    into.record_value(min(max(duration_ns // 1000, 1), _LONGEST_US))


def encoded(one: HdrHistogram) -> str:
    """Return the histogram as text that every HdrHistogram reads (V2, compressed, base64)."""
    return str(one.encode().decode())


def decoded(text: str) -> HdrHistogram:
    """Return the histogram that encoded() made."""
    return HdrHistogram.decode(text)


def summary(one: HdrHistogram) -> Latency:
    """Return what people ask of a histogram."""
    if not one.get_total_count():
        return Latency(0.0, 0.0, 0.0, 0.0, 0.0)
    found = {name: one.get_value_at_percentile(at) / 1000 for name, at in _PERCENTILES.items()}
    return Latency(**found, max=one.get_max_value() / 1000)
