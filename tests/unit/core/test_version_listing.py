"""Versions that move from table to table while they are listed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from s3server.core.records import BucketRecord, ObjectRecord
from s3server.data.memory import MemoryPool
from s3server.meta.base import Range, Row
from s3server.meta.memory import MemoryStore
from tests.support.blobs import numbered_ids
from tests.support.core_store import OWNER, TestStore


class BusyStore(MemoryStore):
    """Before every step of a listing, "m" gets a newer version, or that goes again."""

    site: Site | None = None

    async def scan_many(self, ranges: Sequence[Range], *, limit: int) -> list[list[Row]]:
        if self.site is not None:
            await self.site.toggle()
        site, self.site = self.site, None
        rows = await super().scan_many(ranges, limit=limit)
        self.site = site
        return rows

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Row]:
        if self.site is not None:
            await self.site.toggle()
        return await super().scan(start, stop, limit=limit, reverse=reverse)


class Site:
    def __init__(self) -> None:
        self.meta = BusyStore()
        self.store = TestStore(self.meta, {"main": MemoryPool("main", numbered_ids())})
        self.bucket: BucketRecord
        self.top: ObjectRecord | None = None

    async def toggle(self) -> None:
        self.meta.site = None  # what it reads itself counts as nothing
        if self.top is None:
            self.top = await self.put("m")
        else:
            await self.delete("m", self.top)
            self.top = None
        self.meta.site = self

    async def put(self, key: str) -> ObjectRecord:
        return await self.store.put(self.bucket, key, b"")

    async def delete(self, key: str, record: ObjectRecord) -> None:
        await self.store.objects.delete(self.bucket, key, record.version_id, owner=OWNER.id)

    async def listed(self, *, limit: int, delimiter: str = "") -> list[tuple[str, str, bool]]:
        """Return key, version and whether it is the latest, of all pages."""
        found, key, sequence, is_truncated = [], "", None, True
        while is_truncated:
            page = await self.store.listing.versions(
                self.bucket,
                prefix="",
                delimiter=delimiter,
                after_key=key,
                after_sequence=sequence,
                limit=limit,
            )
            found += [(one.key, one.record.version_id, one.is_latest) for one in page.versions]
            key, sequence = page.last_key, page.last_sequence or None
            is_truncated = page.is_truncated
        return found


@pytest.fixture
async def site() -> Site:
    site = Site()
    site.bucket = await site.store.version(await site.store.bucket(), "Enabled")
    return site


@pytest.mark.parametrize("starts_buried", [False, True])
@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("limit", [1, 2, 1_000])
async def test_version_that_is_there_all_the_time_is_listed_once(
    site: Site, limit: int, delimiter: str, starts_buried: bool
) -> None:
    for key in ("a", "b/1", "b/2", "z"):
        await site.put(key)
    stays = [await site.put("m") for _ in range(3)]
    if starts_buried:
        site.top = await site.put("m")
    site.meta.site = site
    found = await site.listed(limit=limit, delimiter=delimiter)
    versions = [version for key, version, _ in found if key == "m"]
    assert [version for version in versions if version in {one.version_id for one in stays}] == [
        one.version_id for one in reversed(stays)
    ]
    others = ["a", "z"] if delimiter else ["a", "b/1", "b/2", "z"]
    assert [key for key, _, _ in found if key != "m"] == others


async def test_version_that_became_the_current_one_between_two_pages_is_listed(site: Site) -> None:
    old, new = await site.put("m"), await site.put("m")

    async def page(after: int | None) -> list[tuple[str, bool]]:
        page = await site.store.listing.versions(
            site.bucket,
            prefix="",
            delimiter="",
            after_key="" if after is None else "m",
            after_sequence=after,
            limit=1,
        )
        return [(one.record.version_id, one.is_latest) for one in page.versions]

    assert await page(None) == [(new.version_id, True)]
    await site.delete("m", new)
    assert await page(new.sequence) == [(old.version_id, True)]
