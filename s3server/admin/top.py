"""What a server is doing now: the difference of its counters over a moment."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3server.counters import BOUNDS_S, Counts, read_counts, run_directory
from s3server.metering import directory_of, files_of, read_file

MIB = 1 << 20
_BUCKETS = 10  # told of


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters at one moment."""

    at_s: float
    operations: dict[str, Counts]
    codes: Counter[str]
    bucket_requests: Counter[str]
    bucket_bytes: Counter[str]


def sample(meta_dir: Path) -> Sample:
    """Read the counters of a store's server; all are zero where none has run."""
    operations, codes = read_counts(run_directory(meta_dir))
    requests, traffic = Counter[str](), Counter[str]()
    for file in files_of(directory_of(meta_dir)):
        try:
            entries = list(read_file(file))
        except FileNotFoundError:  # it has just been folded away
            continue
        for entry in entries:
            if entry.bucket:
                requests[entry.bucket] += entry.counts[0]
                traffic[entry.bucket] += entry.counts[1] + entry.counts[2]
    return Sample(time.monotonic(), operations, codes, requests, traffic)


def rates(before: Sample, after: Sample) -> dict[str, Any]:
    """Return what happened between two samples, per second."""
    over_s = max(after.at_s - before.at_s, 1e-9)
    rows = [
        _operation(name, before.operations.get(name, Counts({})), counts, over_s)
        for name, counts in after.operations.items()
    ]
    rows = sorted((row for row in rows if row["per_s"]), key=lambda row: -row["per_s"])
    codes = (after.codes - before.codes).most_common()
    return {
        "over_s": round(over_s, 2),
        "requests_per_s": round(sum(row["per_s"] for row in rows), 1),
        "received_mib_s": round(sum(row["received_mib_s"] for row in rows), 2),
        "sent_mib_s": round(sum(row["sent_mib_s"] for row in rows), 2),
        "errors_per_s": {code: round(count / over_s, 1) for code, count in codes},
        "operations": rows,
        "buckets": _buckets(before, after, over_s),
    }


def _operation(name: str, before: Counts, after: Counts, over_s: float) -> dict[str, Any]:
    risen = {
        status: [now - was for now, was in zip(counts, _known(before, status, counts), strict=True)]
        for status, counts in after.by_status.items()
    }
    by_time = Counts(risen).buckets()
    failed = sum(sum(counts) for status, counts in risen.items() if status[0] not in "23")
    return {
        "operation": name,
        "per_s": round(sum(by_time) / over_s, 1),
        "failed_per_s": round(failed / over_s, 1),
        "p50_ms": quantile_ms(by_time, 0.5),
        "p99_ms": quantile_ms(by_time, 0.99),
        "received_mib_s": round((after.received - before.received) / over_s / MIB, 2),
        "sent_mib_s": round((after.sent - before.sent) / over_s / MIB, 2),
    }


def _known(counts: Counts, status: str, like: list[int]) -> list[int]:
    return counts.by_status.get(status, [0] * len(like))


def quantile_ms(by_time: list[int], share: float) -> float | None:
    """Return the time that a share of requests took at most, evenly spread within each bucket.

    A bucket's end is twice its beginning: so far off this may be. None: there was no request.
    """
    wanted, passed = share * sum(by_time), 0
    if not wanted:
        return None
    for at, count in enumerate(by_time):
        if count and passed + count >= wanted:
            low = BOUNDS_S[at - 1] if at else 0.0
            high = BOUNDS_S[at] if at < len(BOUNDS_S) else low
            return round((low + (high - low) * (wanted - passed) / count) * 1000, 2)
        passed += count
    return None


def _buckets(before: Sample, after: Sample, over_s: float) -> list[dict[str, Any]]:
    busiest = (after.bucket_requests - before.bucket_requests).most_common(_BUCKETS)
    traffic = after.bucket_bytes - before.bucket_bytes
    return [
        {
            "bucket": name,
            "per_s": round(count / over_s, 1),
            "mib_s": round(traffic[name] / over_s / MIB, 2),
        }
        for name, count in busiest
    ]
