"""What Prometheus is told of projects: what they hold, what they may, what passed through.

Figures are read from the store when they are asked for, so that every worker tells the same.
Requests and traffic are those that have been folded: some seconds old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from s3server.core.accounts import Accounts, Held, Passed
from s3server.core.project_records import ProjectRecord, QuotaRecord, project_scope
from s3server.core.projects import Projects
from s3server.core.quotas import Quotas

Figures = tuple[ProjectRecord, str, Held, Passed, QuotaRecord]


class ProjectMetrics:
    """Renders the figures of all projects."""

    def __init__(self, projects: Projects, accounts: Accounts, quotas: Quotas) -> None:
        self._projects, self._accounts, self._quotas = projects, accounts, quotas

    async def render(self) -> bytes:
        """Return them in Prometheus' text format."""
        found: list[Figures] = []
        for project in await self._projects.list_projects():
            scope = project_scope(project.id)
            found.append(
                (
                    project,
                    self._projects.state(project),
                    await self._accounts.held(scope),
                    await self._accounts.passed(scope),
                    await self._quotas.get(scope),
                )
            )
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(_families(found)))
        return generate_latest(registry)


class _Once:
    """Gives what was computed before. Implements the library's `Collector`."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self._families


def _families(found: list[Figures]) -> list[Metric]:
    held = GaugeMetricFamily(
        "s3server_project_bytes",
        "Bytes held, or given up and not collected.",
        labels=["project", "kind"],
    )
    objects = GaugeMetricFamily(
        "s3server_project_objects", "Versions, markers and uploads.", labels=["project", "kind"]
    )
    state = GaugeMetricFamily(
        "s3server_project_state", "1 for the state that it is in.", labels=["project", "state"]
    )
    end = GaugeMetricFamily(
        "s3server_project_end_timestamp_seconds", "When it ends.", labels=["project"]
    )
    quota = GaugeMetricFamily("s3server_project_quota", "Its quota.", labels=["project", "of"])
    requests = CounterMetricFamily("s3server_project_requests", "Requests.", labels=["project"])
    traffic = CounterMetricFamily(
        "s3server_project_traffic_bytes", "Bytes of bodies.", labels=["project", "direction"]
    )
    for project, of, there, passed, limit in found:
        name = project.name
        for kind, count in (
            ("live", there.live_bytes),
            ("noncurrent", there.old_bytes),
            ("multipart", there.part_bytes),
            ("waiting", there.waiting_bytes),
        ):
            held.add_metric([name, kind], count)
        for kind, count in (
            ("live", there.objects),
            ("noncurrent", there.versions),
            ("marker", there.markers),
            ("multipart", there.uploads),
        ):
            objects.add_metric([name, kind], count)
        state.add_metric([name, of], 1)
        if project.end_ms:
            end.add_metric([name], project.end_ms / 1000)
        for what, most in (
            ("bytes", limit.bytes),
            ("objects", limit.objects),
            ("buckets", limit.buckets),
        ):
            if most is not None:
                quota.add_metric([name, what], most)
        requests.add_metric([name], passed.requests)
        traffic.add_metric([name, "received"], passed.received)
        traffic.add_metric([name, "sent"], passed.sent)
    return [held, objects, state, end, quota, requests, traffic]
