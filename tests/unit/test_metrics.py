"""What Prometheus is told of projects, and who may ask."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from s3server.core.accounts import Accounts
from s3server.core.project_records import QuotaRecord, project_scope
from s3server.core.projects import DEFAULT_ACCOUNT, Projects
from s3server.core.quotas import Quotas
from s3server.health import health_application
from s3server.meta.base import Add
from s3server.meta.memory import MemoryStore
from s3server.metrics import ProjectMetrics
from tests.support.asgi_client import Client
from tests.support.core_store import ManualClock, NumberedIds


async def test_figures_of_a_project_are_told() -> None:
    meta, clock = MemoryStore(), ManualClock()
    scope = project_scope(DEFAULT_ACCOUNT)
    figures = {"bytes": 5, "old-bytes": 3, "objects": 2, "requests": 9, "sent": 70}
    await meta.commit([Add(scope + name.encode(), count) for name, count in figures.items()])
    await Quotas(meta).put(scope, QuotaRecord(bytes=100))
    projects = Projects(meta, clock=clock, ids=NumberedIds(clock))
    text = await ProjectMetrics(projects, Accounts(meta), Quotas(meta)).render()
    told = {
        (sample.name, sample.labels.pop("project"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    for key, value in {
        ("s3server_project_bytes", "default", "live"): 5,
        ("s3server_project_bytes", "default", "noncurrent"): 3,
        ("s3server_project_objects", "default", "live"): 2,
        ("s3server_project_state", "default", "active"): 1,
        ("s3server_project_quota", "default", "bytes"): 100,
        ("s3server_project_requests_total", "default"): 9,
        ("s3server_project_traffic_bytes_total", "default", "sent"): 70,
    }.items():
        assert told[key] == value, key


@pytest.mark.parametrize(
    ("token", "peer", "headers", "status"),
    [
        ("", "127.0.0.1", {}, 200),
        ("", "::1", {}, 200),
        ("", "192.0.2.1", {}, 403),
        ("", "127.0.0.1", {"x-forwarded-for": "192.0.2.1"}, 403),
        ("secret", "127.0.0.1", {}, 403),
        ("secret", "192.0.2.1", {"authorization": "Bearer secret"}, 200),
        ("secret", "192.0.2.1", {"authorization": "Bearer guess"}, 403),
    ],
)
async def test_metrics_are_for_this_machine_or_whoever_has_the_token(
    token: str, peer: str, headers: dict[str, str], status: int
) -> None:
    async def nothing() -> list[str]:
        return []

    async def metrics() -> bytes:
        return b"x 1\n"

    application = health_application(nothing, dict, metrics, metrics_token=token)
    client = Client(application, None, lambda: datetime.now(UTC), peer=peer)
    assert (await client("GET", "/-/metrics", headers=headers)).status == status
