"""Every metric that there is, with its labels and what it means; docs/reference/metrics.md is this.

Counters and histograms rise from one scrape to the next; those of requests go on over restarts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

Kind = Literal["counter", "gauge", "histogram"]


class Family(NamedTuple):
    """A metric; a counter's samples have `_total` behind its name."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str

    @property
    def shown(self) -> str:
        """Its name as in queries; a histogram's has _bucket, _sum and _count behind it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _of_holders(noun: str) -> tuple[Family, ...]:
    whose, day = ("project", noun), "since midnight, UTC"
    return (
        Family(f"s3server_{noun}_bytes", "gauge", (*whose, "kind"), "Bytes held."),
        Family(
            f"s3server_{noun}_objects", "gauge", (*whose, "kind"), "Versions, markers and uploads."
        ),
        Family(f"s3server_{noun}_requests", "counter", whose, f"Requests {day}."),
        Family(
            f"s3server_{noun}_traffic_bytes",
            "counter",
            (*whose, "direction"),
            f"Bytes of bodies {day}.",
        ),
    )


FAMILIES = (
    Family("s3server_info", "gauge", ("version",), "1, for the version that runs."),
    Family("s3server_requests", "counter", ("operation", "status"), "Requests answered."),
    Family(
        "s3server_request_duration_seconds",
        "histogram",
        ("operation",),
        "From a request's header to the last byte of its answer.",
    ),
    Family("s3server_received_bytes", "counter", ("operation",), "Bytes of requests' bodies."),
    Family("s3server_sent_bytes", "counter", ("operation",), "Bytes of answers' bodies."),
    Family("s3server_errors", "counter", ("code",), "Answers by the error code in them."),
    Family("s3server_map_epoch", "gauge", (), "Epoch of the cluster map."),
    Family(
        "s3server_osd_state",
        "gauge",
        ("osd", "state"),
        "1 for the state that it is in: in, out, down, missing.",
    ),
    Family("s3server_osd_size_bytes", "gauge", ("osd",), "What can be used of its file system."),
    Family("s3server_osd_free_bytes", "gauge", ("osd",), "What is free of it."),
    Family(
        "s3server_osd_journal_bytes",
        "gauge",
        ("osd",),
        "What the metadata's journal and snapshots take of it.",
    ),
    Family(
        "s3server_repair_queue",
        "gauge",
        ("kind",),
        "Blobs that lack shards (degraded), lie elsewhere than the map says (astray), or cannot be "
        "read (unreadable); each up to 100,000.",
    ),
    Family("s3server_garbage_set_aside", "gauge", (), "Rows of garbage that are damaged."),
    Family(
        "s3server_job_state",
        "gauge",
        ("job", "state"),
        "1 for the state of a background job: working, idle, failed.",
    ),
    Family("s3server_job_done", "gauge", ("job", "unit"), "How far a job is."),
    Family("s3server_job_size", "gauge", ("job", "unit"), "How far it has to go."),
    Family(
        "s3server_job_updated_timestamp_seconds", "gauge", ("job",), "When it last told of itself."
    ),
    Family(
        "s3server_snapshot_timestamp_seconds",
        "gauge",
        (),
        "When the newest snapshot of the metadata was taken.",
    ),
    Family("s3server_events_backlog", "gauge", ("topic",), "Events that wait to be published."),
    Family(
        "s3server_events_oldest_seconds",
        "gauge",
        ("topic",),
        "For how long the oldest of them has waited.",
    ),
    Family(
        "s3server_events_published", "counter", ("topic",), "Events that the endpoint has taken."
    ),
    Family("s3server_events_failed", "counter", ("topic",), "Attempts to publish that failed."),
    Family("s3server_events_dropped", "counter", ("topic",), "Events that were given up."),
    Family(
        "s3server_events_refused",
        "counter",
        ("topic",),
        "Events that the topic's policy did not permit.",
    ),
    Family(
        "s3server_project_bytes",
        "gauge",
        ("project", "kind"),
        "Bytes held, or given up and not collected.",
    ),
    Family(
        "s3server_project_objects",
        "gauge",
        ("project", "kind"),
        "Versions, markers and uploads.",
    ),
    Family(
        "s3server_project_state", "gauge", ("project", "state"), "1 for the state that it is in."
    ),
    Family("s3server_project_end_timestamp_seconds", "gauge", ("project",), "When it ends."),
    Family("s3server_project_quota", "gauge", ("project", "of"), "Its quota."),
    Family("s3server_project_requests", "counter", ("project",), "Requests."),
    Family(
        "s3server_project_traffic_bytes", "counter", ("project", "direction"), "Bytes of bodies."
    ),
    *_of_holders("bucket"),
    *_of_holders("user"),
)
_BY_NAME = {each.name: each for each in FAMILIES}
_MADE: dict[Kind, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def family(name: str) -> Any:
    """Return an empty metric, to be filled by `add_metric`."""
    found = _BY_NAME[name]
    return _MADE[found.kind](found.name, found.text, labels=found.labels)


def render(families: Iterable[Metric]) -> bytes:
    """Return metrics in Prometheus' text format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families))
    return generate_latest(registry)


class _Once:
    """Gives what was computed before. Implements the library's `Collector`."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self._families
