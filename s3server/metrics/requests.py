"""What Prometheus is told of requests: the sums of all workers."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from s3server import __version__
from s3server.counters import BOUNDS_S, read_counts
from s3server.metrics.families import family, render

_LIMITS = [*map(str, BOUNDS_S), "+Inf"]


def render_requests(directory: Path) -> bytes:
    """Return what the workers counted in a run directory, in Prometheus' text format."""
    info = family("s3server_info")
    info.add_metric([__version__], 1)
    requests, durations = family("s3server_requests"), family("s3server_request_duration_seconds")
    received, sent = family("s3server_received_bytes"), family("s3server_sent_bytes")
    errors = family("s3server_errors")
    found, codes = read_counts(directory)
    for operation, counts in sorted(found.items()):
        for status, buckets in counts.by_status.items():
            requests.add_metric([operation, status], sum(buckets))
        rising = zip(_LIMITS, accumulate(counts.buckets()), strict=True)
        durations.add_metric([operation], list(rising), counts.taken_us / 1e6)
        received.add_metric([operation], counts.received)
        sent.add_metric([operation], counts.sent)
    for code, count in sorted(codes.items()):
        errors.add_metric([code], count)
    return render([info, requests, durations, received, sent, errors])
