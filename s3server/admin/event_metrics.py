"""What topics do, for Prometheus: its text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# (name, type, column of `events status`, what it is)
_METRICS = (
    ("backlog", "gauge", "backlog", "Events that wait to be published."),
    ("oldest_seconds", "gauge", "oldest_s", "For how long the oldest of them has waited."),
    ("published_total", "counter", "published", "Events that the endpoint has taken."),
    ("failed_total", "counter", "failed", "Attempts to publish that failed."),
    ("dropped_total", "counter", "dropped", "Events that were given up."),
    ("refused_total", "counter", "refused", "Events that the topic's policy did not permit."),
)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows of `events status` as metrics, labelled by the topics' ARNs."""
    lines = []
    for name, kind, column, text in _METRICS:
        metric = f"s3server_events_{name}"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} {kind}"]
        for row in rows:
            arn = row["arn"].translate(_ESCAPES)
            lines.append(f'{metric}{{topic="{arn}"}} {row[column]}')
    return "\n".join(lines) + "\n"
