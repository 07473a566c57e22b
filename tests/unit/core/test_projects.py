"""Projects: their names and ids, and what they may do when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from s3server.core.project_records import ProjectRecord
from s3server.core.projects import DAY_MS, DEFAULT_ACCOUNT, Projects, state_of
from s3server.errors import EntityAlreadyExists, InvalidArgument, NoSuchEntity
from s3server.meta.memory import MemoryStore
from tests.support.core_store import ManualClock, NumberedIds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def projects(clock: ManualClock) -> Projects:
    return Projects(MemoryStore(), clock=clock, ids=NumberedIds(clock))


async def test_project_is_found_by_name_and_by_an_id_of_12_digits(projects: Projects) -> None:
    made = await projects.create("geo", owner="alice@site.org")
    assert (len(made.id), made.id.isdecimal()) == (12, True)
    assert (made, made) == (await projects.get("geo"), await projects.find(made.id))
    assert await projects.find("999999999999") is None


async def test_default_project_is_there_without_being_made(projects: Projects) -> None:
    found = await projects.get("default")
    assert (found.id, projects.state(found)) == (DEFAULT_ACCOUNT, "active")
    await projects.update("default", lambda now: replace(now, is_disabled=True))
    changed = await projects.find(DEFAULT_ACCOUNT)
    assert changed is not None
    assert projects.state(changed) == "disabled"


async def test_projects_are_listed_by_name(projects: Projects) -> None:
    for name in ("zebra", "ant"):
        await projects.create(name)
    assert ["ant", "default", "zebra"] == [each.name for each in await projects.list_projects()]


async def test_name_is_given_once(projects: Projects) -> None:
    await projects.create("geo")
    for taken in ("geo", "default"):
        with pytest.raises(EntityAlreadyExists):
            await projects.create(taken)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "é"])
async def test_name_that_cannot_stand_in_a_command_is_refused(
    projects: Projects, name: str
) -> None:
    with pytest.raises(InvalidArgument):
        await projects.create(name)


async def test_project_that_ends_before_it_begins_is_refused(projects: Projects) -> None:
    with pytest.raises(InvalidArgument):
        await projects.create("geo", start_ms=10, end_ms=10)


async def test_unknown_project_cannot_be_changed(projects: Projects) -> None:
    with pytest.raises(NoSuchEntity):
        await projects.update("geo", lambda now: now)


@pytest.mark.parametrize(
    ("day", "state"),
    [(9, "pending"), (10, "active"), (69, "active"), (70, "notice"), (99, "notice"),
     (100, "read-only"), (106, "read-only"), (107, "disabled"), (5_000, "disabled")],
)  # fmt: skip
def test_state_follows_from_the_dates(day: int, state: str) -> None:
    project = ProjectRecord(
        id="1" * 12,
        name="geo",
        created_ms=0,
        start_ms=10 * DAY_MS,
        end_ms=100 * DAY_MS,
        notice_ms=30 * DAY_MS,
        grace_ms=7 * DAY_MS,
    )
    assert state_of(project, day * DAY_MS) == state
    assert state_of(replace(project, is_disabled=True), day * DAY_MS) == "disabled"


def test_project_without_an_end_goes_on() -> None:
    project = ProjectRecord(id="1" * 12, name="geo", created_ms=0, notice_ms=30 * DAY_MS)
    assert state_of(project, 99_999 * DAY_MS) == "active"
