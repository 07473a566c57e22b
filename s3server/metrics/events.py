"""What Prometheus is told of topics: what waits, and how publishing goes."""

from __future__ import annotations

from s3server.core.notifications import Notifications
from s3server.core.topics import Topics, all_topics
from s3server.metrics.families import family, render

_COUNTED = ("published", "failed", "dropped", "refused")


async def render_events(topics: Topics, notifications: Notifications) -> bytes:
    """Return the state of all topics in Prometheus' text format, labelled by their ARNs."""
    backlog, oldest = family("s3server_events_backlog"), family("s3server_events_oldest_seconds")
    counted = {name: family(f"s3server_events_{name}") for name in _COUNTED}
    for topic in await all_topics(topics):
        arn, counts = topics.arn(topic), await notifications.counters(topic)
        backlog.add_metric([arn], counts["backlog"])
        oldest.add_metric([arn], (await notifications.standing(topic)).oldest_s)
        for name, each in counted.items():
            each.add_metric([arn], counts[name])
    return render([backlog, oldest, *counted.values()])
