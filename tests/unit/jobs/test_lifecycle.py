"""The lifecycle job: what it removes, when, and what it must leave alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from s3server.core import records
from s3server.core.lifecycle import Lifecycle
from s3server.core.lifecycle_rules import DAY_MS, Calendar
from s3server.core.locks import Retention
from s3server.core.objects import Attributes
from s3server.core.records import BucketRecord, decode
from s3server.core.tags import Tags
from s3server.core.upkeep_records import LifecycleReport
from s3server.data.memory import MemoryPool
from s3server.jobs import lifecycle as lifecycle_module
from s3server.jobs.lifecycle import LifecycleJob
from s3server.jobs.set_aside import set_aside
from s3server.meta.base import Put, Write
from s3server.meta.memory import MemoryStore
from tests.support.blobs import numbered_ids
from tests.support.core_store import OWNER, Bytes, TestStore

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2


class Site:
    """A store with one bucket, its lifecycle job, and a clock at noon."""

    def __init__(self) -> None:
        self.store = TestStore(MemoryStore(), {"main": MemoryPool("main", numbered_ids())})
        self.store.clock.now = NOON_MS
        self.lifecycle = Lifecycle(
            self.store.meta, self.store.buckets, self.store.blobs, calendar=Calendar()
        )
        self.bucket: BucketRecord

    def job(self) -> LifecycleJob:
        return LifecycleJob(
            self.store.meta,
            buckets=self.store.buckets,
            objects=self.store.objects,
            multipart=self.store.multipart,
            lifecycle=self.lifecycle,
            clock=self.store.clock,
        )

    async def rules(self, *rules: dict[str, Any]) -> None:
        document = {"Rules": [{"Status": "Enabled", **rule} for rule in rules]}
        await self.lifecycle.configure(self.bucket, document)

    async def put(
        self, key: str, data: bytes = b"x", *, tags: Tags = (), **fields: Any
    ) -> records.ObjectRecord:
        attributes = Attributes(owner=OWNER.id, tags=tags, **fields)
        return await self.store.objects.put(self.bucket, key, Bytes(data), attributes)

    async def delete(self, key: str, version_id: str | None = None) -> None:
        await self.store.objects.delete(self.bucket, key, version_id, owner=OWNER.id)

    async def run(self, days: float = 0) -> None:
        """Let days pass, and the job do all that it finds due."""
        self.store.clock.now += round(days * DAY_MS)
        while (await self.job().step()).has_more:
            pass
        await self.store.verify()

    async def keys(self) -> list[str]:
        page = await self.store.listing.objects(
            self.bucket, prefix="", delimiter="", after="", limit=1_000
        )
        return [key for key, _ in page.objects]

    async def versions(self, key: str = "") -> list[str]:
        """Return the versions: their size, or "marker"."""
        page = await self.store.listing.versions(
            self.bucket, prefix=key, delimiter="", after_key="", after_sequence=None, limit=1_000
        )
        found = [each.record for each in page.versions]
        return ["marker" if one.is_delete_marker else str(one.size) for one in found]

    async def index(self) -> list[int]:
        """Return when something is to be looked at, in days after today's midnight."""
        rows = await self.store.rows(records.LIFECYCLE)
        return [records.parse_lifecycle_key(key)[0] // DAY_MS - 20_000 for key, _ in rows]


@pytest.fixture
async def site() -> Site:
    site = Site()
    site.bucket = await site.store.bucket()
    return site


@pytest.fixture
async def versioned(site: Site) -> Site:
    site.bucket = await site.store.version(site.bucket, "Enabled")
    return site


DAYS_2 = {"Expiration": {"Days": 2}}
OLD_2 = {"NoncurrentVersionExpiration": {"NoncurrentDays": 2}}


async def test_object_goes_at_the_midnight_after_its_days(site: Site) -> None:
    await site.rules(DAYS_2)
    await site.put("key")
    await site.run(2.4)
    assert await site.keys() == ["key"]
    await site.run(0.1)
    assert await site.keys() == []
    assert await site.versions() == []


async def test_rules_are_about_what_was_there_before_them(site: Site) -> None:
    for number in range(600):  # more than one walk takes
        await site.put(f"k{number:03}")
    site.store.clock.now += DAY_MS
    await site.put("new")
    await site.rules(DAYS_2)
    await site.run()
    assert len(await site.keys()) == 601
    await site.run(1.5)
    assert await site.keys() == ["new"]
    await site.run(1)
    assert await site.keys() == []
    await site.run(1)  # what was removed is looked at once more
    assert await site.index() == []


async def damage(site: Site, key: bytes) -> None:
    row = await site.store.meta.get(key)
    assert row is not None
    await site.store.meta.commit([Put(key, row[:-1] + bytes((row[-1] ^ 1,)))])


async def test_damaged_row_of_the_index_is_set_aside_and_holds_nobody_up(site: Site) -> None:
    await site.rules(DAYS_2)
    await site.put("key")
    broken = records.lifecycle_key(1, site.bucket.id, "") + b"\xff\xfe"
    nameless = records.lifecycle_key(2, site.bucket.id, "other")
    rows: list[Write] = [Put(broken, b"bucket\0" + bytes(8)), Put(nameless, b"\xff\0" + bytes(8))]
    await site.store.meta.commit(rows)
    with capture_logs() as logs:
        await site.run(2.5)
    assert await site.keys() == []
    assert [broken, nameless] == [each.key for each in await set_aside(site.store.meta)]
    told = [line["key"] for line in logs if line["event"].endswith("damaged and set aside")]
    assert told == [broken.hex(), nameless.hex()]
    assert await site.lifecycle.report(0)


@pytest.mark.parametrize("is_new", [False, True])
async def test_damaged_object_is_told_of_each_day_and_holds_nobody_up(
    site: Site, is_new: bool
) -> None:
    if not is_new:
        await site.rules(DAYS_2)
    for key in ("a", "b", "c"):
        await site.put(key)
    if is_new:  # the walk meets it
        await site.rules(DAYS_2)
    sound = await site.store.meta.get(records.object_key(site.bucket.id, "b")) or b""
    await damage(site, records.object_key(site.bucket.id, "b"))
    with capture_logs() as logs:
        for _ in range(4):
            site.store.clock.now += DAY_MS
            while (await site.job().step()).has_more:
                pass
    assert 4 <= len([line for line in logs if line.get("key") == "b"]) <= 5  # once a day
    await site.store.meta.commit([Put(records.object_key(site.bucket.id, "b"), sound)])
    assert await site.keys() == ["b"]
    await site.run(1)
    assert await site.keys() == []


async def test_keys_of_a_bucket_whose_record_is_damaged_wait_until_it_is_whole(site: Site) -> None:
    await site.rules(DAYS_2)
    await site.put("key")
    row_key = records.bucket_key(site.bucket.name)
    sound = await site.store.meta.get(row_key) or b""
    await damage(site, row_key)
    site.store.clock.now += 3 * DAY_MS
    worked = await site.job().step()
    assert (worked.damaged, worked.has_more) == (2, False)  # the rules' first walk, and the key
    assert await site.index() == [4, 4]
    await site.store.meta.commit([Put(row_key, sound)])
    await site.run(1)
    assert await site.keys() == []


async def test_date_is_a_date(site: Site) -> None:
    date = datetime.fromtimestamp((20_000 + 3) * DAY_MS / 1000, UTC)
    await site.put("key")
    await site.rules({"Expiration": {"Date": date}})
    await site.run(2.49)
    assert await site.keys() == ["key"]
    await site.run(0.01)
    assert await site.keys() == []


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"a", "logs/a", "logs/big", "tagged"}),
        ({"Filter": {}}, {"a", "logs/a", "logs/big", "tagged"}),
        ({"Prefix": ""}, {"a", "logs/a", "logs/big", "tagged"}),
        ({"Prefix": "logs/"}, {"logs/a", "logs/big"}),
        ({"Filter": {"Prefix": "logs/"}}, {"logs/a", "logs/big"}),
        ({"Filter": {"Tag": {"Key": "t", "Value": "1"}}}, {"tagged"}),
        ({"Filter": {"Tag": {"Key": "t", "Value": "2"}}}, set()),
        ({"Filter": {"ObjectSizeGreaterThan": 99}}, {"logs/big"}),
        ({"Filter": {"ObjectSizeGreaterThan": 100}}, set()),
        ({"Filter": {"ObjectSizeLessThan": 100}}, {"a", "logs/a", "tagged"}),
        (
            {"Filter": {"And": {"Prefix": "t", "Tags": [{"Key": "t", "Value": "1"}]}}},
            {"tagged"},
        ),
        (
            {
                "Filter": {
                    "And": {
                        "Tags": [{"Key": "t", "Value": "1"}, {"Key": "u", "Value": ""}],
                    }
                }
            },
            {"tagged"},
        ),
        ({"Filter": {"And": {"Prefix": "logs/", "ObjectSizeLessThan": 50}}}, {"logs/a"}),
        ({"Status": "Disabled"}, set()),
    ],
)
async def test_filters_choose(site: Site, chosen: dict[str, Any], expected: set[str]) -> None:
    await site.put("a")
    await site.put("logs/a")
    await site.put("logs/big", bytes(100))
    await site.put("tagged", tags=(("t", "1"), ("u", "")))
    await site.rules({**DAYS_2, **chosen})
    await site.run(3)
    assert {"a", "logs/a", "logs/big", "tagged"} - set(await site.keys()) == expected


async def test_expired_current_version_gets_a_marker(versioned: Site) -> None:
    await versioned.put("key", b"1")
    await versioned.rules(DAYS_2)
    await versioned.run(3)
    assert await versioned.versions() == ["marker", "1"]
    await versioned.run(30)
    assert await versioned.versions() == ["marker", "1"]


async def test_marker_of_an_expiry_is_no_old_version(versioned: Site) -> None:
    await versioned.put("key", b"1")
    await versioned.rules(DAYS_2 | {"ID": "a"}, OLD_2 | {"ID": "b"})
    await versioned.run(3)
    assert await versioned.versions() == ["marker", "1"]
    await versioned.run(3)
    assert await versioned.versions() == ["marker"]
    assert await versioned.keys() == []


async def test_old_versions_go_after_their_days_as_old_ones(versioned: Site) -> None:
    await versioned.rules(OLD_2)
    for size in (1, 2, 3):
        await versioned.put("key", bytes(size))
        await versioned.run(1)
    assert await versioned.versions() == ["3", "2", "1"]
    await versioned.run(1)  # version 1 is old since noon of day 1, and goes before day 4
    assert await versioned.versions() == ["3", "2"]
    await versioned.run(1)
    assert await versioned.versions() == ["3"]
    await versioned.run(30)
    assert await versioned.versions() == ["3"]
    assert await versioned.index() == []


async def test_newest_old_versions_are_kept(versioned: Site) -> None:
    rule = {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}
    await versioned.rules({"NoncurrentVersionExpiration": rule})
    for size in (1, 2, 3, 4, 5):
        await versioned.put("key", bytes(size))
    await versioned.run(5)
    assert await versioned.versions() == ["5", "4", "3"]
    await versioned.put("key", bytes(6))
    await versioned.run(5)
    assert await versioned.versions() == ["6", "5", "4"]


async def test_marker_over_nothing_goes(versioned: Site) -> None:
    await versioned.put("key", b"1")
    await versioned.delete("key")
    await versioned.put("other", b"1")
    await versioned.delete("other")
    await versioned.rules(
        {"Filter": {"Prefix": "key"}, **OLD_2},
        {"Expiration": {"ExpiredObjectDeleteMarker": True}},
    )
    await versioned.run(3)
    assert await versioned.versions("key") == ["marker"]
    await versioned.run(1)
    assert await versioned.versions("key") == []
    assert await versioned.versions("other") == ["marker", "1"]


async def test_days_remove_a_marker_over_nothing_too(versioned: Site) -> None:
    await versioned.delete("key")
    await versioned.rules(DAYS_2)
    await versioned.run(2.4)
    assert await versioned.versions() == ["marker"]
    await versioned.run(0.1)
    assert await versioned.versions() == []


async def test_upload_in_parts_is_aborted(site: Site) -> None:
    await site.rules({"Prefix": "a", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}})
    attributes = Attributes(owner=OWNER.id)
    for key in ("a", "b"):
        upload = await site.store.multipart.create(site.bucket, key, attributes)
        await site.store.multipart.put_part(site.bucket, key, upload.id.hex(), 1, Bytes(b"part"))
    await site.run(2.4)
    assert len(await site.store.rows(records.UPLOAD)) == 2
    await site.run(0.1)
    assert [key[9:10] for key, _ in await site.store.rows(records.UPLOAD)] == [b"b"]
    await site.store.collect_all()
    assert len(await site.store.rows(records.BLOB)) == 1


async def test_object_that_was_written_again_lives_its_own_days(site: Site) -> None:
    await site.rules(DAYS_2)
    await site.put("key", b"old")
    await site.run(1)
    await site.put("key", b"newer")
    await site.run(1.6)
    assert await site.store.body(site.bucket, "key") == b"newer"
    await site.run(1)
    assert await site.keys() == []


async def test_tag_that_was_set_later_counts(site: Site) -> None:
    await site.rules({"Filter": {"Tag": {"Key": "keep", "Value": "no"}}, **DAYS_2})
    await site.put("key")
    await site.run(5)
    assert await site.keys() == ["key"]

    def tag(record: records.ObjectRecord) -> records.ObjectRecord:
        return replace(record, tags=(("keep", "no"),))

    await site.store.objects.amend(site.bucket, "key", None, tag)
    await site.run(1)
    assert await site.keys() == []


@pytest.mark.parametrize("bucket_status", ["", "Enabled"])
async def test_what_changes_under_the_jobs_hands_stays(
    site: Site, bucket_status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag that is taken away between the look and the deletion saves the object."""
    if bucket_status:
        site.bucket = await site.store.version(site.bucket, bucket_status)
    await site.put("key", tags=(("t", "1"),))
    await site.rules({"Filter": {"Tag": {"Key": "t", "Value": "1"}}, **DAYS_2})
    delete = site.store.objects.delete

    async def untag_first(*arguments: Any, **options: Any) -> Any:
        await site.store.objects.amend(
            site.bucket, "key", None, lambda record: replace(record, tags=())
        )
        return await delete(*arguments, **options)

    monkeypatch.setattr(site.store.objects, "delete", untag_first)
    await site.run(3)
    monkeypatch.undo()
    await site.run(3)
    assert await site.keys() == ["key"]


@pytest.mark.parametrize("hold", ["retention", "legal hold"])
async def test_locked_versions_outlive_their_rules(versioned: Site, hold: str) -> None:
    fields: dict[str, Any] = {"legal_hold": "ON"}
    if hold == "retention":
        fields = {"retention": Retention("GOVERNANCE", NOON_MS + 10 * DAY_MS)}
    await versioned.put("key", b"1", **fields)
    await versioned.put("key", b"22")
    await versioned.rules(OLD_2)
    await versioned.run(5)
    assert await versioned.versions() == ["2", "1"]
    await versioned.run(8)
    assert await versioned.versions() == (["2"] if hold == "retention" else ["2", "1"])


async def test_rules_that_were_removed_do_nothing(site: Site) -> None:
    await site.put("key")
    await site.rules(DAYS_2)
    await site.run()
    await site.lifecycle.configure(site.bucket, None)
    await site.put("other")
    await site.run(9)
    assert await site.keys() == ["key", "other"]
    assert await site.index() == []


async def test_index_holds_a_row_for_what_is_next_and_looks_at_nothing_else(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.rules(DAYS_2)
    await site.run()
    for number in range(5):
        for _ in range(20):
            await site.put(f"k{number}")
    assert await site.index() == [1] * 5
    await site.run(0.5)
    assert await site.index() == [3] * 5
    looked: list[str] = []
    schedule = site.lifecycle.schedule

    def watched(bucket: BucketRecord, key: str) -> Any:
        looked.append(key)
        return schedule(bucket, key)

    monkeypatch.setattr(site.lifecycle, "schedule", watched)
    await site.run(0.9)
    assert looked == []
    await site.put("k1")
    await site.run(0.2)
    assert looked == ["k1"]


async def test_bucket_that_is_gone_leaves_no_rows(site: Site) -> None:
    await site.rules(DAYS_2)
    await site.put("key")
    await site.delete("key")
    await site.store.buckets.delete(site.bucket)
    await site.store.bucket()
    await site.run(3)
    assert await site.index() == []


async def test_ten_thousand_old_versions_of_a_key_go(versioned: Site) -> None:
    count = 2_500  # more than two pages of them
    for number in range(count):
        await versioned.put("key", bytes(number % 2))
    await versioned.rules(OLD_2)
    await versioned.run(3)
    assert len(await versioned.versions()) == 1


async def test_report_counts_the_run_of_the_day(versioned: Site) -> None:
    await versioned.put("key", b"1")
    await versioned.put("key", b"2", legal_hold="ON")
    await versioned.put("key", b"3")
    await versioned.rules(OLD_2)
    await versioned.run(4)
    row = await versioned.store.meta.get(records.store_key("lifecycle"))
    assert row is not None
    report = decode(LifecycleReport, row)
    assert (report.noncurrent, report.locked, report.expired) == (1, 1, 0)
    assert report.until_ms == versioned.store.clock.now


async def test_steps_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "ROWS_PER_STEP", 3)
    await site.rules(DAYS_2)
    await site.run()
    for number in range(7):
        await site.put(f"k{number}")
    site.store.clock.now += DAY_MS
    steps = [await site.job().step() for _ in range(4)]
    assert [step.keys for step in steps] == [3, 3, 1, 0]
    assert [step.has_more for step in steps] == [True, True, False, False]
