"""Accounts: traffic is folded once whatever dies, and what is held counts by the hour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from s3server import metering
from s3server.core import records
from s3server.core.accounts import Accounts
from s3server.core.objects import Attributes
from s3server.core.project_records import project_key, project_scope, user_scope
from s3server.core.projects import Projects
from s3server.core.records import BucketRecord, decode
from s3server.core.usage_records import (
    HOUR_MS,
    SAMPLED,
    UsageRecord,
    bucket_name_of,
    folded_key,
    usage_key,
)
from s3server.data.memory import MemoryPool
from s3server.jobs import usage as usage_job
from s3server.jobs.set_aside import set_aside
from s3server.jobs.usage import Usage
from s3server.meta.base import Check, Delete, Put, UnavailableError, Write, after_prefix
from s3server.meta.memory import MemoryStore
from s3server.metering import Meter, files_of
from s3server.model import Principal
from tests.support.blobs import numbered_ids
from tests.support.core_store import Bytes, NumberedIds, TestStore
from tests.support.damage import damage_row

MIDNIGHT_MS = 20_000 * 24 * HOUR_MS  # a day in 2024


class FailingStore(MemoryStore):
    """Fails once, before or after a commit took place."""

    fails: str | None = None

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        fails, self.fails = self.fails, None
        if fails == "before":
            raise UnavailableError("killed")
        sequence = await super().commit(writes, checks)
        if fails == "after":
            raise UnavailableError("killed")
        return sequence


class Site:
    """A project with a bucket, what its workers count with, and the job."""

    def __init__(self, directory: Path) -> None:
        self.meta, self.directory = FailingStore(), directory
        self.store = TestStore(self.meta, {"main": MemoryPool("main", numbered_ids(1))})
        self.clock = self.store.clock
        self.clock.now = MIDNIGHT_MS
        self.meter = Meter(directory)
        self.meter.turn(self.clock.now)
        self.job = Usage(self.meta, directory, clock=self.clock)
        self.projects = Projects(self.meta, clock=self.clock, ids=NumberedIds(self.clock))
        self.accounts = Accounts(self.meta)

    async def bucket(self, name: str = "data") -> BucketRecord:
        self.project = await self.projects.create("geo")
        self.user = Principal("user", "a" * 64, "alice", account=self.project.id)
        return await self.store.buckets.create(name, self.user)

    async def work(self) -> None:
        while (await self.job.step()).has_more:
            pass

    async def traffic(self, by: str = "project") -> list[tuple[int, int, int]]:
        found = await self.accounts.report(
            self.project,
            by,
            first="20240101",
            last="20241231",  # type: ignore[arg-type]
        )
        return [(each.used.requests, each.used.received, each.used.sent) for each in found]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "usage")


async def test_traffic_is_told_of_project_bucket_and_day(site: Site) -> None:
    bucket = await site.bucket()
    for _ in range(2):
        site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
        await site.work()
        await site.work()
    for by in ("project", "bucket", "day"):
        assert [(2, 20, 6)] == await site.traffic(by)


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_fold_that_dies_is_neither_lost_nor_doubled(site: Site, fails: str) -> None:
    bucket = await site.bucket()
    await site.work()
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    site.meta.fails = fails
    with pytest.raises(UnavailableError):
        await site.job.step()
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    site.job = Usage(site.meta, site.directory, clock=site.clock)
    await site.work()
    assert [(2, 20, 6)] == await site.traffic()


async def test_file_that_nobody_writes_to_is_folded_and_goes(site: Site) -> None:
    bucket = await site.bucket()
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    site.meter.close()
    await site.work()
    await site.work()
    assert ([], [(1, 10, 3)]) == (files_of(site.directory), await site.traffic())
    assert [] == [key for key, _ in await site.store.rows(usage_job.FOLDED)]


async def test_file_that_cannot_be_read_holds_up_no_other(site: Site) -> None:
    bucket = await site.bucket()
    (site.directory / f"10000101-0{metering.SUFFIX}").mkdir()  # before the others
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    await site.work()
    assert [(1, 10, 3)] == await site.traffic()


async def test_file_that_is_damaged_holds_up_no_other(site: Site) -> None:
    bucket = await site.bucket()
    for name, content in (("0", b"no entry"), ("1", b"\xff")):
        padded = content.ljust(metering.ENTRY_BYTES, b"\0")
        (site.directory / f"10000101-{name}{metering.SUFFIX}").write_bytes(padded)
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    await site.work()
    assert [(1, 10, 3)] == await site.traffic()


async def hours(site: Site, name: str, day: str = "20241004") -> int:
    key = usage_key("B", bucket_name_of(site.project.id, name), day)
    row = await site.meta.get(key)
    return 0 if row is None else decode(UsageRecord, row).hours


async def test_damaged_bucket_keeps_no_other_from_being_counted(site: Site) -> None:
    await site.bucket("damaged")
    await site.store.buckets.create("whole", site.user)
    row_key = records.bucket_key("damaged")
    row = await damage_row(site.meta, row_key)
    with capture_logs() as logs:
        for _ in range(3):
            await site.work()
            site.clock.now += HOUR_MS
    assert [line["key"] for line in logs if line["log_level"] == "error"] == [row_key.hex()]
    assert (await hours(site, "whole"), await hours(site, "damaged")) == (2, 0)
    assert [bucket.name for bucket in await site.accounts.largest_buckets(9)] == ["whole"]
    by_bucket = await site.accounts.report(
        site.project, "bucket", first="20240101", last="20241231"
    )
    assert [each.name for each in by_bucket] == ["whole"]
    await site.meta.commit([Put(row_key, row)])
    await site.work()
    assert (await hours(site, "whole"), await hours(site, "damaged")) == (3, 1)


async def test_damaged_day_of_a_bucket_is_set_aside_and_begun_anew(site: Site) -> None:
    bucket = await site.bucket()
    await site.work()
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    site.clock.now += HOUR_MS
    await site.work()
    key = usage_key("B", bucket_name_of(site.project.id, "data"), "20241004")
    await damage_row(site.meta, key)
    site.meter.count((bucket.account, site.user.id, bucket.name), 20, 6)
    site.clock.now += HOUR_MS
    await site.work()
    assert (await site.traffic("bucket"), await hours(site, "data")) == ([(1, 20, 6)], 1)
    assert await site.traffic("project") == [(2, 30, 9)]
    assert [each.key for each in await set_aside(site.meta)] == [key]


@pytest.mark.parametrize("place", ["how far it is sampled", "how far it is folded"])
async def test_place_that_is_damaged_is_told_and_others_go_on(site: Site, place: str) -> None:
    bucket = await site.bucket()
    site.meter.count((bucket.account, site.user.id, bucket.name), 10, 3)
    await site.work()
    folded = folded_key(files_of(site.directory)[0].name)
    await damage_row(site.meta, SAMPLED if "sampled" in place else folded)
    with capture_logs() as logs:
        for _ in range(3):
            await site.work()
            site.clock.now += HOUR_MS
    assert len([line for line in logs if line["log_level"] in ("error", "warning")]) == 1
    assert await hours(site, "data") == 2


async def test_what_is_held_at_a_full_hour_counts_for_the_hour_before(site: Site) -> None:
    bucket = await site.bucket()
    await site.work()
    await site.store.objects.put(bucket, "key", Bytes(bytes(1_000)), _as(site))
    for _ in range(3):
        site.clock.now += HOUR_MS // 2
        await site.work()
    site.clock.now += HOUR_MS // 2
    await site.store.objects.put(bucket, "key", Bytes(bytes(10)), _as(site))
    await site.work()
    (found,) = await site.accounts.report(
        site.project, "project", first="20241004", last="20241004"
    )
    assert (2, 1_010, 10) == (found.used.hours, found.used.byte_hours, found.used.bytes)
    assert found.used.tb_days == 1_010 / 24e12


async def test_hours_that_nobody_counted_are_made_up_for_day_by_day(site: Site) -> None:
    bucket = await site.bucket()
    await site.store.objects.put(bucket, "key", Bytes(bytes(100)), _as(site))
    await site.work()
    site.clock.now += 50 * HOUR_MS
    await site.work()
    found = await site.accounts.report(site.project, "day", first="20240101", last="20241231")
    assert [2_400, 2_400, 200] == [each.used.byte_hours for each in found]


async def test_clock_that_was_far_ahead_holds_up_no_accounts(site: Site) -> None:
    bucket = await site.bucket()
    await site.store.objects.put(bucket, "key", Bytes(bytes(100)), _as(site))
    for hours in (0, 20 * 24, -19 * 24, 2):
        site.clock.now += hours * HOUR_MS
        await site.work()
    found = await site.accounts.report(site.project, "day", first="20241005", last="20241005")
    assert [(24 + 2) * 100] == [each.used.byte_hours for each in found]


async def test_who_has_nothing_any_more_is_no_longer_counted(site: Site) -> None:
    bucket = await site.bucket()
    await site.store.objects.put(bucket, "key", Bytes(bytes(100)), _as(site))
    await site.work()
    site.clock.now += HOUR_MS
    await site.work()
    await site.store.objects.delete(bucket, "key")
    await site.store.buckets.delete(bucket)
    await site.store.collect_all()
    await site.meta.commit([Delete(project_key(site.project.id))])
    site.clock.now += 72 * HOUR_MS
    await site.work()
    for scope in (user_scope(site.user.id), project_scope(site.project.id)):
        assert [] == await site.meta.scan(scope, after_prefix(scope), limit=10)
    for kind, name in (("U", site.user.id), ("P", site.project.id)):
        first, last = usage_key(kind, name, "20241004"), usage_key(kind, name, "20241231")
        told = [row.bytes for row in await usage_rows(site, first, last)]
        assert told == [0]  # of the day on which it went


async def usage_rows(site: Site, first: bytes, last: bytes) -> list[UsageRecord]:
    return [decode(UsageRecord, row) for _, row in await site.meta.scan(first, last, limit=10)]


async def test_year_begins_and_ends_at_its_own_midnight(site: Site) -> None:
    bucket = await site.bucket()
    await site.store.objects.put(bucket, "key", Bytes(bytes(100)), _as(site))
    await site.work()
    site.clock.now += 100 * 24 * HOUR_MS  # into 2025
    await site.work()
    hours = []
    for year in (2024, 2025):
        (found,) = await site.accounts.report(
            site.project, "project", first=f"{year}0101", last=f"{year}1231"
        )
        hours.append(found.used.hours)
    assert 2_400 == sum(hours)
    assert hours[0] == 24 * 89  # from the 4th of October on


async def test_all_scopes_are_counted_where_they_are_more_than_a_step_takes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_job, "SCOPES_PER_STEP", 2)
    first = await site.bucket()
    buckets = [first, *[await site.store.buckets.create(f"more-{n}", site.user) for n in range(4)]]
    for bucket in buckets:
        await site.store.objects.put(bucket, "key", Bytes(bytes(10)), _as(site))
    await site.work()
    site.clock.now += HOUR_MS
    await site.work()
    found = await site.accounts.report(site.project, "bucket", first="20240101", last="20241231")
    assert [10] * 5 == [each.used.byte_hours for each in found]
    (whole,) = await site.accounts.report(site.project, "project", first="2024", last="2025")
    assert 50 == whole.used.byte_hours


def _as(site: Site) -> Attributes:
    return Attributes(owner=site.user.id)
