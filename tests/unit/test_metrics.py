"""What Prometheus is told of projects, and who may ask."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from s3server.app import build
from s3server.core import records
from s3server.core.accounts import Accounts
from s3server.core.project_records import QuotaRecord, bucket_scope, project_scope, user_scope
from s3server.core.projects import DEFAULT_ACCOUNT, Projects
from s3server.core.quotas import Quotas
from s3server.core.records import BucketRecord, UserRecord, encode
from s3server.core.usage_records import UsageRecord, bucket_name_of, usage_key
from s3server.health import health_application
from s3server.maintenance import initialise
from s3server.meta.base import Add, Put
from s3server.meta.memory import MemoryStore
from s3server.metering import day_of
from s3server.metrics.projects import LargestMetrics, ProjectMetrics
from s3server.settings import quickstart_config
from tests.support.asgi_client import Client
from tests.support.core_store import ManualClock, NumberedIds

LABELS = ("project", "bucket", "user", "kind", "direction", "state", "of")


async def test_figures_of_a_project_are_told() -> None:
    meta, clock = MemoryStore(), ManualClock()
    scope = project_scope(DEFAULT_ACCOUNT)
    figures = {"bytes": 5, "old-bytes": 3, "objects": 2, "requests": 9, "sent": 70}
    await meta.commit([Add(scope + name.encode(), count) for name, count in figures.items()])
    await Quotas(meta).put(scope, QuotaRecord(bytes=100))
    projects = Projects(meta, clock=clock, ids=NumberedIds(clock))
    text = await ProjectMetrics(projects, Accounts(meta), Quotas(meta)).render()
    told = samples(text)
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


async def test_the_largest_buckets_and_users_are_told_of_and_no_others() -> None:
    meta, clock = MemoryStore(), ManualClock()
    day = day_of(clock.now_ms())
    sizes = {"small": 1, "large": 30, "middle": 20}
    for number, (name, size) in enumerate(sizes.items()):
        bucket = BucketRecord(
            id=bytes([number] * 8),
            name=name,
            owner="",
            region="",
            created_ms=0,
            account=DEFAULT_ACCOUNT,
        )
        user = UserRecord(
            id=f"{number:064}", name=f"user-{name}", created_ms=0, account=DEFAULT_ACCOUNT
        )
        used = encode(UsageRecord(requests=size, received=2, sent=7))
        await meta.commit(
            [
                Put(records.bucket_key(name), encode(bucket)),
                Put(records.user_key(user.id), encode(user)),
                Add(bucket_scope(bucket.id) + b"old-bytes", size),
                Add(bucket_scope(bucket.id) + b"objects", 1),
                Add(user_scope(user.id) + b"part-bytes", size),
                Put(usage_key("B", bucket_name_of(DEFAULT_ACCOUNT, name), day), used),
                Put(usage_key("U", user.id, "20200101"), used),  # another day
            ]
        )
    projects = Projects(meta, clock=clock, ids=NumberedIds(clock))
    told = samples(await LargestMetrics(projects, Accounts(meta), clock, 2).render())
    assert {labels[1] for name, *labels in told if "bucket" in name} == {"large", "middle"}
    assert {labels[1] for name, *labels in told if "user" in name} == {"user-large", "user-middle"}
    for key, value in {
        ("s3server_bucket_bytes", "default", "large", "noncurrent"): 30,
        ("s3server_bucket_objects", "default", "large", "live"): 1,
        ("s3server_bucket_requests_total", "default", "middle"): 20,
        ("s3server_bucket_traffic_bytes_total", "default", "large", "sent"): 7,
        ("s3server_user_bytes", "default", "user-large", "multipart"): 30,
        ("s3server_user_requests_total", "default", "user-large"): 0,
    }.items():
        assert told[key] == value, key


@pytest.mark.parametrize("most", [0, 5])
async def test_a_setting_says_of_how_many(tmp_path: Path, most: int) -> None:
    config = quickstart_config(
        tmp_path,
        access_key="ROOTKEY",
        secret_key="secret-of-root",
        server={"metrics_largest": most},
    )
    await initialise(config)
    application = build(config, slot=0)
    await application.open()
    try:
        client = Client(application.asgi, None, lambda: datetime.now(UTC), peer="127.0.0.1")
        told = (await client("GET", "/-/metrics")).body
    finally:
        await application.close()
    assert b"s3server_project_bytes" in told
    assert (b"s3server_bucket_bytes" in told) == (most > 0)


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """Return the values of samples by their names and the values of their labels."""
    return {
        (sample.name, *(sample.labels[label] for label in LABELS if label in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


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
