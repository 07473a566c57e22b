"""What Prometheus is told of projects: what they hold, what they may, what passed through.

Of the largest buckets and users it is told where the settings say of how many: each has time series
of its own in Prometheus, and there may be a great many.

Figures are read from the store when they are asked for, so that every worker tells the same.
Requests and traffic are those that have been folded: some seconds old.
"""

from __future__ import annotations

from prometheus_client.metrics_core import Metric

from s3server.core.accounts import Accounts, Held, Passed
from s3server.core.clock import Clock
from s3server.core.project_records import (
    ProjectRecord,
    QuotaRecord,
    bucket_scope,
    project_scope,
    user_scope,
)
from s3server.core.projects import Projects
from s3server.core.quotas import Quotas
from s3server.core.usage_records import UsageRecord, bucket_name_of
from s3server.metering import day_of
from s3server.metrics.families import family, render

Holder = tuple[str, str, Held, UsageRecord]  # name of its project, its own
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
        return render(_families(found))


class LargestMetrics:
    """Renders the figures of the largest buckets and users.

    Their counters are those of the day (UTC): they begin anew at midnight, which Prometheus knows
    how to read. Who leaves the largest is no longer told of.
    """

    def __init__(self, projects: Projects, accounts: Accounts, clock: Clock, most: int) -> None:
        self._projects, self._accounts = projects, accounts
        self._clock, self._most = clock, most

    async def render(self) -> bytes:
        """Return them in Prometheus' text format."""
        names = {project.id: project.name for project in await self._projects.list_projects()}
        day, accounts = day_of(self._clock.now_ms()), self._accounts
        buckets, users = list[Holder](), list[Holder]()
        for bucket in await accounts.largest_buckets(self._most):
            used = await accounts.used_on("B", bucket_name_of(bucket.account, bucket.name), day)
            held = await accounts.held(bucket_scope(bucket.id))
            buckets.append((names.get(bucket.account, ""), bucket.name, held, used))
        for user in await accounts.largest_users(self._most):
            used = await accounts.used_on("U", user.id, day)
            held = await accounts.held(user_scope(user.id))
            users.append((names.get(user.account, ""), user.name, held, used))
        return render([*_holders("bucket", buckets), *_holders("user", users)])


def _families(found: list[Figures]) -> list[Metric]:
    held, objects, state, end, quota, requests, traffic = map(
        family,
        (
            "s3server_project_bytes",
            "s3server_project_objects",
            "s3server_project_state",
            "s3server_project_end_timestamp_seconds",
            "s3server_project_quota",
            "s3server_project_requests",
            "s3server_project_traffic_bytes",
        ),
    )
    for project, of, there, passed, limit in found:
        name = project.name
        for kind, count in (*_bytes_of(there), ("waiting", there.waiting_bytes)):
            held.add_metric([name, kind], count)
        for kind, count in _objects_of(there):
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


def _holders(noun: str, found: list[Holder]) -> list[Metric]:
    """Return the families of buckets or users."""
    held, objects, requests, traffic = (
        family(f"s3server_{noun}_{what}")
        for what in ("bytes", "objects", "requests", "traffic_bytes")
    )
    for project, name, there, used in found:
        for kind, count in _bytes_of(there):
            held.add_metric([project, name, kind], count)
        for kind, count in _objects_of(there):
            objects.add_metric([project, name, kind], count)
        requests.add_metric([project, name], used.requests)
        traffic.add_metric([project, name, "received"], used.received)
        traffic.add_metric([project, name, "sent"], used.sent)
    return [held, objects, requests, traffic]


def _bytes_of(held: Held) -> tuple[tuple[str, int], ...]:
    return (
        ("live", held.live_bytes),
        ("noncurrent", held.old_bytes),
        ("multipart", held.part_bytes),
    )


def _objects_of(held: Held) -> tuple[tuple[str, int], ...]:
    return (
        ("live", held.objects),
        ("noncurrent", held.versions),
        ("marker", held.markers),
        ("multipart", held.uploads),
    )
