"""Projects that end: what works when, for their people and for all who know their buckets."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from s3server.core.project_records import project_key
from s3server.core.projects import DAY_MS
from s3server.meta.base import Delete
from tests.support.served import Store, credential

PROJECT = credential("alice").principal.account
ENDED = (403, "AccountProblem")
PUBLIC = {"x-amz-acl": "public-read-write"}
# Days until the end of the project, of which the last 30 are announced; 10 of grace follow.
BEFORE, LAST, FIRST_AFTER, LAST_OF_GRACE, OVER = 50, 99, 100, 109, 110


@pytest.fixture
async def store() -> Store:
    """Alice's project ends in 100 days, and has a bucket that is open to all."""
    store = Store()
    await change(
        store,
        end_ms=store.clock.ms + 100 * DAY_MS,
        notice_ms=30 * DAY_MS,
        grace_ms=10 * DAY_MS,
    )
    await store.alice("PUT", "/data", headers=PUBLIC)
    await store.alice("PUT", "/data/key", body=b"x", headers=PUBLIC)
    await store.bob("PUT", "/of-bob", headers=PUBLIC)
    return store


async def change(store: Store, **fields: Any) -> None:
    await store.services.projects.update(PROJECT, lambda now: replace(now, **fields))


@pytest.mark.parametrize("who", ["alice", "bob", None])
@pytest.mark.parametrize(
    ("day", "reads", "writes"),
    [
        (BEFORE, True, True),
        (LAST, True, True),
        (FIRST_AFTER, True, False),
        (LAST_OF_GRACE, True, False),
        (OVER, False, False),
    ],
)
async def test_bucket_of_a_project_ends_with_it_for_everybody(
    store: Store, who: str | None, day: int, reads: bool, writes: bool
) -> None:
    store.clock.ms += day * DAY_MS
    client = store.client(who)
    for method, path in (("GET", "/data/key"), ("HEAD", "/data/key"), ("GET", "/data")):
        status = (await client(method, path)).status
        assert status == (200 if reads else 403), (method, path)
    for method, path in (
        ("PUT", "/data/new"),
        ("DELETE", "/data/new"),
        ("POST", "/data/m?uploads"),
    ):
        answer = await client(method, path)
        assert (answer.status < 300) == writes, (method, path)
        if not writes:
            assert answer.outcome == ENDED


async def test_people_of_a_project_that_ended_can_do_nothing_elsewhere(store: Store) -> None:
    store.clock.ms += FIRST_AFTER * DAY_MS
    assert (await store.alice("PUT", "/of-bob/key", body=b"")).outcome == ENDED
    assert (await store.alice("PUT", "/another")).outcome == ENDED
    assert (await store.alice("GET", "/of-bob")).status == 200
    store.clock.ms += 10 * DAY_MS
    assert (await store.alice("GET", "/of-bob")).outcome == ENDED
    assert (await store.alice("GET", "/")).outcome == ENDED


async def test_bytes_of_an_ended_project_are_not_copied_out(store: Store) -> None:
    source = {"x-amz-copy-source": "/data/key"}
    store.clock.ms += LAST_OF_GRACE * DAY_MS
    assert (await store.bob("PUT", "/of-bob/copy", headers=source)).status == 200
    store.clock.ms += DAY_MS
    assert (await store.bob("PUT", "/of-bob/copy", headers=source)).outcome == ENDED


async def test_project_works_from_its_first_day_on(store: Store) -> None:
    await change(store, start_ms=store.clock.ms + DAY_MS)
    assert (await store.alice("GET", "/data/key")).outcome == ENDED
    store.clock.ms += DAY_MS
    assert (await store.alice("GET", "/data/key")).status == 200


async def test_renewed_project_works_at_once(store: Store) -> None:
    store.clock.ms += OVER * DAY_MS
    assert (await store.alice("PUT", "/data/key", body=b"y")).outcome == ENDED
    await change(store, end_ms=store.clock.ms + DAY_MS)
    assert (await store.alice("PUT", "/data/key", body=b"y")).status == 200


async def test_disabled_project_works_for_root_alone(store: Store) -> None:
    await change(store, is_disabled=True)
    assert [(await store.client(who)("GET", "/data/key")).status for who in ("alice", "bob", None)] == [403] * 3  # fmt: skip # noqa: E501
    assert (await store.root("GET", "/data/key")).body == b"x"


async def test_keys_of_a_project_that_is_gone_are_good_for_nothing(store: Store) -> None:
    await store.meta.commit([Delete(project_key(PROJECT))])
    assert (await store.alice("GET", "/")).outcome == ENDED
    assert (await store.nobody("GET", "/data/key")).outcome == ENDED
