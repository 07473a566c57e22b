"""What projects, users and buckets use: what they hold now, and what they used from day to day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from operator import itemgetter
from typing import Literal, TypeVar

from s3server.core import records
from s3server.core.damaged import Damaged
from s3server.core.project_records import (
    BUCKETS,
    COUNTED_BYTES,
    PASSED,
    WAITING,
    ProjectRecord,
    bucket_scope,
    project_scope,
    user_scope,
)
from s3server.core.records import BucketRecord, Record, UserRecord, decode
from s3server.core.usage_records import (
    Kind,
    UsageRecord,
    bucket_name_of,
    parse_usage_key,
    usage_key,
    usage_range,
)
from s3server.meta.base import MetadataStore, Row, after_prefix, decode_counter, pages_of

R = TypeVar("R", bound=Record)
By = Literal["project", "bucket", "user", "day"]


@dataclass(frozen=True, slots=True)
class Held:
    """What is there now: bytes of current and older versions, of parts, and given up."""

    objects: int = 0
    versions: int = 0  # older ones
    markers: int = 0
    uploads: int = 0
    live_bytes: int = 0
    old_bytes: int = 0
    part_bytes: int = 0
    waiting_bytes: int = 0  # for collection; told of projects
    buckets: int = 0  # of projects and users

    @property
    def bytes(self) -> int:
        """What a quota is on."""
        return self.live_bytes + self.old_bytes + self.part_bytes


@dataclass(frozen=True, slots=True)
class Passed:
    """What has passed since the beginning, as far as it has been folded."""

    requests: int = 0
    received: int = 0  # bytes of bodies
    sent: int = 0


NOTHING_HELD = Held()
_COUNTERS = (
    "objects", "old", "markers", "uploads", "bytes", "old-bytes", "part-bytes", WAITING, BUCKETS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """What one project, bucket or user used in some days, or a project on one day."""

    project: str
    name: str  # of the bucket or user; the day; "" for a project
    used: UsageRecord  # added up
    held: Held


class Accounts:
    """The accounts of one store."""

    def __init__(self, meta: MetadataStore) -> None:
        self._meta, self._damaged = meta, Damaged("accounts")

    async def held(self, scope: bytes) -> Held:
        """Return what a scope (see `project_records`) holds now."""
        rows = await self._meta.get_many([scope + name.encode() for name in _COUNTERS])
        return Held(*map(decode_counter, rows))

    async def passed(self, scope: bytes) -> Passed:
        """Return what passed for a project."""
        rows = await self._meta.get_many([scope + name.encode() for name in PASSED])
        return Passed(*map(decode_counter, rows))

    async def used_on(self, kind: Kind, name: str, day: str) -> UsageRecord:
        """Return what one bucket or user, by its name in the rows of usage, used on a day."""
        row = await self._meta.get(usage_key(kind, name, day))
        return UsageRecord() if row is None else decode(UsageRecord, row)

    async def largest_buckets(self, most: int) -> list[BucketRecord]:
        """Return at most so many buckets, those that hold most bytes first."""
        return await self._largest(
            records.BUCKET, BucketRecord, lambda bucket: bucket_scope(bucket.id), most
        )

    async def largest_users(self, most: int) -> list[UserRecord]:
        """Return at most so many users, those first whose buckets hold most bytes."""
        return await self._largest(records.USER, UserRecord, lambda user: user_scope(user.id), most)

    async def _largest(
        self, table: bytes, kind: type[R], scope: Callable[[R], bytes], most: int
    ) -> list[R]:
        found: list[tuple[int, R]] = []
        each = len(COUNTED_BYTES)
        async for page in pages_of(self._meta, table, after_prefix(table)):
            held = list(self._damaged.readable(kind, page))
            counters = await self._meta.get_many(
                [scope(one) + name.encode() for one in held for name in COUNTED_BYTES]
            )
            counts = [decode_counter(row) for row in counters]
            sizes = [sum(counts[at : at + each]) for at in range(0, len(counts), each)]
            found = nlargest(most, [*found, *zip(sizes, held, strict=True)], key=itemgetter(0))
            await asyncio.sleep(0)  # requests go on between the pages
        return [one for _, one in found]

    async def report(
        self, project: ProjectRecord, by: By, *, first: str, last: str
    ) -> list[Account]:
        """Return what was used in the days from `first` to `last`: 20260101, both included."""
        if by == "bucket":
            return await self._by_bucket(project, first, last)
        if by == "user":
            return await self._by_user(project, first, last)
        rows = await self._all(*usage_range("P", project.id, first, last))
        if by == "day":
            days = [(parse_usage_key(key)[1], decode(UsageRecord, row)) for key, row in rows]
            return [Account(project.name, day, used, NOTHING_HELD) for day, used in days]
        held = await self.held(project_scope(project.id))
        return [Account(project.name, "", _sum(rows), held)]

    async def _by_bucket(self, project: ProjectRecord, first: str, last: str) -> list[Account]:
        prefix = usage_key("B", bucket_name_of(project.id, ""), "").rstrip(b"\0")
        by_name: dict[str, list[Row]] = {}
        for key, row in await self._all(prefix, after_prefix(prefix)):
            name, day = parse_usage_key(key)
            if first <= day <= last:
                by_name.setdefault(name.partition(" ")[2], []).append((key, row))
        scopes: dict[str, bytes] = {}
        rows = await self._all(records.BUCKET, after_prefix(records.BUCKET))
        for bucket in self._damaged.readable(BucketRecord, rows):
            if bucket.account == project.id:
                scopes[bucket.name] = bucket_scope(bucket.id)
        return [
            Account(
                project.name,
                name,
                _sum(by_name.get(name, [])),
                await self.held(scopes[name]) if name in scopes else NOTHING_HELD,
            )
            for name in sorted(by_name.keys() | scopes.keys())
        ]

    async def _by_user(self, project: ProjectRecord, first: str, last: str) -> list[Account]:
        table = records.user_name_key(project.id, "")
        found: list[Account] = []
        for _, user_id in await self._all(table, after_prefix(table)):
            row = await self._meta.get(records.user_key(user_id.decode()))
            if row is None:
                continue
            user = decode(UserRecord, row)
            rows = await self._all(*usage_range("U", user.id, first, last))
            held = await self.held(user_scope(user.id))
            found.append(Account(project.name, user.name, _sum(rows), held))
        return found

    async def _all(self, start: bytes, stop: bytes) -> list[Row]:
        return [row async for page in pages_of(self._meta, start, stop) for row in page]


def _sum(rows: Sequence[Row]) -> UsageRecord:
    """Add days up; what is held is that of the last one."""
    days = [decode(UsageRecord, row) for _, row in rows]
    if not days:
        return UsageRecord()
    added = ("hours", "live_byte_hours", "old_byte_hours", "part_byte_hours", "requests",
             "received", "sent")  # fmt: skip
    sums = {name: sum(getattr(day, name) for day in days) for name in added}
    return UsageRecord(**sums, objects=days[-1].objects, bytes=days[-1].bytes)
