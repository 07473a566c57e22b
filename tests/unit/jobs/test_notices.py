"""Changes of projects' states are announced once."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from s3server.core.projects import DAY_MS, Projects
from s3server.jobs.notices import Notices
from s3server.meta.memory import MemoryStore
from tests.support.core_store import ManualClock, NumberedIds


@pytest.mark.parametrize("restarts", [False, True])
async def test_each_state_is_announced_once(restarts: bool) -> None:
    meta, clock = MemoryStore(), ManualClock()
    projects = Projects(meta, clock=clock, ids=NumberedIds(clock))
    await projects.create("geo", owner="alice", end_ms=clock.now + 40 * DAY_MS)
    job, states = Notices(meta, projects, clock=clock), []
    for _ in range(90):
        if restarts:
            job = Notices(meta, projects, clock=clock)
        with capture_logs() as logs:
            await job.step()
        states += [(log["project"], log["state"], log["days_left"]) for log in logs]
        clock.now += DAY_MS
    assert states == [("geo", "notice", 30), ("geo", "read-only", 0), ("geo", "disabled", 0)]
