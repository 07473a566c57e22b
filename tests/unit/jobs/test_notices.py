"""Changes of projects' states are announced once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from s3server.auth.secrets import SecretBox
from s3server.core.projects import DAY_MS, DEFAULT_ACCOUNT, Projects
from s3server.core.records import EVENT, EventRecord, decode
from s3server.core.topics import Topics
from s3server.events.endpoints import AllowList
from s3server.jobs.notices import Notices
from s3server.meta.base import UnavailableError, after_prefix
from s3server.meta.memory import MemoryStore
from s3server.model import Principal
from tests.support.core_store import ManualClock, NumberedIds

ARN = "arn:aws:sns:r:000000000000:projects"
ROOT = Principal("root", "0" * 64, "root", DEFAULT_ACCOUNT)
END = [("geo", "notice", 30), ("geo", "read-only", 0), ("geo", "disabled", 0)]


class Site:
    """A project that ends in 40 days, and the job that announces it."""

    def __init__(self, topic: str = "") -> None:
        self.meta, self.clock = MemoryStore(), ManualClock()
        ids = NumberedIds(self.clock)
        self.projects = Projects(self.meta, clock=self.clock, ids=ids)
        self.topics = Topics(
            self.meta, clock=self.clock, ids=ids, sealer=SecretBox(b"k" * 32), region="r",
            allowed=AllowList(["*:*"]), ca_directory="/",
        )  # fmt: skip
        self.topic, self.job = topic, self.restarted(topic)

    def restarted(self, topic: str) -> Notices:
        return Notices(self.meta, self.projects, self.topics, clock=self.clock, topic=topic)

    async def make_topic(self) -> None:
        attributes = {"push-endpoint": "amqp://broker.test:5672", "amqp-exchange": "ex"}
        await self.topics.create(ROOT, "projects", attributes, lambda _: None)

    async def pass_days(self, count: int, *, restarts: bool = False) -> list[tuple[str, str, int]]:
        """Return what the log told in these days."""
        states = []
        for _ in range(count):
            if restarts:
                self.job = self.restarted(self.topic)
            with capture_logs() as logs:
                await self.job.step()
            states += [
                (log["project"], log["state"], log["days_left"]) for log in logs if "state" in log
            ]
            self.clock.now += DAY_MS
        return states

    async def told(self) -> list[tuple[str, str, int]]:
        """Return what the events that wait tell."""
        rows = await self.meta.scan(EVENT, after_prefix(EVENT), limit=100)
        events = [decode(EventRecord, row) for _, row in rows]
        values = [dict(event.metadata) for event in events]
        return [
            (event.key, value["state"], int(value["daysLeft"]))
            for event, value in zip(events, values, strict=True)
        ]


@pytest.fixture
async def site() -> Site:
    site = Site(ARN)
    await site.projects.create("geo", owner="alice", end_ms=site.clock.now + 40 * DAY_MS)
    return site


@pytest.mark.parametrize("restarts", [False, True])
async def test_each_state_is_announced_once(restarts: bool) -> None:
    site = Site()
    await site.projects.create("geo", owner="alice", end_ms=site.clock.now + 40 * DAY_MS)
    assert END == await site.pass_days(90, restarts=restarts)
    assert [] == await site.told()


async def test_each_state_is_one_event_for_the_topic(site: Site) -> None:
    await site.make_topic()
    assert END == await site.pass_days(90, restarts=True)
    assert END == await site.told()


async def test_renewed_project_is_announced_again_when_its_new_end_comes(site: Site) -> None:
    await site.make_topic()
    await site.pass_days(15)
    await site.projects.update("geo", lambda now: replace(now, end_ms=now.end_ms + 60 * DAY_MS))
    await site.pass_days(75)
    assert [("geo", "notice", 30), ("geo", "active", 85), ("geo", "notice", 30)] == (
        await site.told()
    )


async def test_what_happens_before_there_is_a_topic_is_told_as_soon_as_there_is_one(
    site: Site,
) -> None:
    assert [] == await site.pass_days(20)
    await site.make_topic()
    await site.pass_days(1)
    assert [("geo", "notice", 20)] == await site.told()


async def test_state_is_not_noted_without_its_event(site: Site) -> None:
    await site.make_topic()
    await site.pass_days(10)
    real = site.meta.commit

    async def fails(*_: Any) -> int:
        raise UnavailableError("the power is gone")

    site.meta.commit = fails  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        await site.job.step()
    site.meta.commit = real  # type: ignore[method-assign]
    assert [] == await site.told()
    await site.pass_days(2)
    assert [("geo", "notice", 30)] == await site.told()
