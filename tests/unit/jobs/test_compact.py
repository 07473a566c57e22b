"""Compaction: space of dead blobs comes back, and no live byte is ever lost, whatever happens."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from s3server.core import records
from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.copying import CopySource
from s3server.core.objects import UNCONDITIONAL
from s3server.core.records import BlobRecord, BucketRecord, decode, encode
from s3server.data.base import FullError
from s3server.data.layout import RECORD_HEADER, VOLUME_HEADER
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.jobs import compact as module
from s3server.jobs.compact import MERGE_FROM, Compact, Compacted
from s3server.meta.base import Check, Put, UnavailableError, Write
from s3server.meta.memory import MemoryStore
from s3server.model import DataRef
from tests.support.blobs import BytesSource, make_osds, make_pool, pattern
from tests.support.core_store import ATTRIBUTES, TestStore

LEASE_MS, COMPACT_GRACE_MS, REST_MS = 3_600_000, 600_000, 6 * 3_600_000


class FailingStore(MemoryStore):
    """Refuses commits while told to; awaits `before_next` before the next one takes place."""

    is_away = False
    before_next: Callable[[], Awaitable[object]] | None = None

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        if self.is_away:
            raise UnavailableError("away")
        before, self.before_next = self.before_next, None
        if before is not None:
            await before()
        return await super().commit(writes, checks)


class Site:
    """A store on three OSDs whose volumes were sealed and are older than the lease."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.meta = FailingStore()
        self.osds: dict[int, DirectoryOsd] = make_osds(root, 3)
        self.pools: dict[str, PlacedPool] = {}
        self._seed = 0
        self.store = TestStore(self.meta, self.pools)
        self.clock = self.store.clock
        self.open_pool()
        self.compact = self.new_compact()

    def open_pool(self) -> None:
        self._seed += 1
        self.pools["main"] = make_pool(self.osds, "replica:3", seed=self._seed)

    def new_compact(self) -> Compact:
        return Compact(
            self.meta,
            self.pools,
            self.osds,
            clock=self.clock,
            lease_ms=LEASE_MS,
            grace_ms=COMPACT_GRACE_MS,
            rest_ms=REST_MS,
        )

    async def seal(self) -> None:
        """Let go of the volumes, as if the process had ended, and let the lease pass."""
        await self.pools["main"].close()
        self.open_pool()
        now_s = self.clock.now / 1000
        for path in self.root.glob("osd*/volumes/*"):
            os.utime(path, (now_s, now_s))
        self.clock.now += LEASE_MS

    def volumes(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("osd*/volumes/*"))

    async def fill(self, keys: int, *, live: int, size: int = 4096) -> BucketRecord:
        """Store objects, delete all but the last `live` ones, collect, and seal."""
        bucket = await self.store.bucket()
        for number in range(keys):
            await self.store.put(bucket, f"k{number:03}", pattern(size, seed=number))
        for number in range(keys - live):
            await self.store.objects.delete(bucket, f"k{number:03}")
        await self.store.collect_all()
        await self.seal()
        return bucket

    async def run(self) -> Compacted:
        """Step until nothing is left to do at this time; return what all steps did."""
        done = [await self.compact.step()]
        while done[-1].has_more:
            done.append(await self.compact.step())
        return Compacted(
            sum(each.moved for each in done),
            sum(each.moved_bytes for each in done),
            sum(each.volumes for each in done),
            sum(each.freed_bytes for each in done),
        )

    async def verify(self, bucket: BucketRecord, keys: Sequence[int], size: int = 4096) -> None:
        """Assert that exactly these objects are there, each whole in every copy."""
        page = await self.store.listing.objects(
            bucket, prefix="", delimiter="", after="", limit=1_000
        )
        assert [f"k{number:03}" for number in keys] == [key for key, _ in page.objects]
        for number in keys:
            assert pattern(size, seed=number) == await self.store.body(bucket, f"k{number:03}")
        for _, row in await self.store.rows(records.BLOB):
            ref = decode(BlobRecord, row).ref
            assert ref is not None
            assert (await self.pools["main"].check(ref)).is_whole
        await self.store.verify()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    yield site
    await site.pools["main"].close()


async def test_dead_volumes_go_after_lease_and_grace(site: Site) -> None:
    await site.fill(10, live=0)
    site.clock.now -= 1
    assert Compacted() == await site.run()
    site.clock.now += 1
    assert Compacted() == await site.run()  # found dead
    site.clock.now += COMPACT_GRACE_MS - 1
    assert (Compacted(), 3) == (await site.run(), len(site.volumes()))
    site.clock.now += 1
    size = VOLUME_HEADER + 10 * (RECORD_HEADER + 4096)
    assert Compacted(volumes=3, freed_bytes=3 * size) == await site.run()
    assert [] == site.volumes()


async def test_volume_written_while_the_clock_was_ahead_waits_for_one_lease_only(
    site: Site,
) -> None:
    await site.fill(10, live=0)
    ahead_s = site.clock.now / 1000 + 30 * 86_400
    for path in site.root.glob("osd*/volumes/*"):
        os.utime(path, (ahead_s, ahead_s))
    for passed_ms in (86_400_000, -86_400_000, LEASE_MS - 1, 1):  # found dead with the last one
        site.clock.now += passed_ms
        assert Compacted() == await site.run()
    site.clock.now += COMPACT_GRACE_MS - 1
    assert Compacted() == await site.run()
    site.clock.now += 1
    assert 3 == (await site.run()).volumes


async def test_clock_that_is_set_back_holds_up_no_volume_and_hurries_none(site: Site) -> None:
    await site.fill(10, live=0)
    for passed_ms in (10 * REST_MS, -10 * REST_MS):
        site.clock.now += passed_ms
        assert Compacted() == await site.run()  # found dead
    site.clock.now += COMPACT_GRACE_MS - 1
    assert Compacted() == await site.run()
    site.clock.now += 1
    assert 3 == (await site.run()).volumes


async def test_open_volume_is_left_alone(site: Site) -> None:
    bucket = await site.store.bucket()
    await site.store.put(bucket, "k", b"data")
    await site.store.objects.delete(bucket, "k")
    await site.store.collect_all()
    site.clock.now = 4_000_000_000_000  # long after the files were written
    for _ in range(3):
        assert Compacted() == await site.run()
        site.clock.now += COMPACT_GRACE_MS
    assert 3 == len(site.volumes())


async def test_volume_less_than_half_live_is_emptied_and_removed(site: Site) -> None:
    bucket = await site.fill(10, live=4)
    old = site.volumes()
    done = await site.run()
    # Emptying the first OSD's volume wrote all copies again: nothing was live in the others.
    assert (4, 4 * 4096, 0) == (done.moved, done.moved_bytes, done.volumes)
    await site.verify(bucket, range(6, 10))
    for _ in range(3):
        site.clock.now += COMPACT_GRACE_MS
        done = await site.run()
    assert set() == set(old) & set(site.volumes())
    assert 3 == len(site.volumes())
    await site.verify(bucket, range(6, 10))


async def seal_small_volumes(site: Site, bucket: BucketRecord, numbers: range) -> None:
    for number in numbers:
        await site.store.put(bucket, f"k{number:03}", pattern(4096, seed=number))
        await site.seal()


async def test_small_volumes_are_merged_once_an_osd_has_many(site: Site) -> None:
    bucket = await site.store.bucket()
    await seal_small_volumes(site, bucket, range(MERGE_FROM - 1))
    assert Compacted() == await site.run()  # all are live, and rest
    await seal_small_volumes(site, bucket, range(MERGE_FROM - 1, MERGE_FROM))
    assert MERGE_FROM == (await site.run()).moved
    for _ in range(2):
        site.clock.now += COMPACT_GRACE_MS
        await site.run()
    assert 3 == len(site.volumes())
    await site.verify(bucket, range(MERGE_FROM))


async def test_small_volumes_that_cannot_be_merged_rest_like_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = await site.store.bucket()
    await seal_small_volumes(site, bucket, range(MERGE_FROM))
    tries: list[bytes] = []

    async def full(pool: PlacedPool, ref: DataRef) -> DataRef:
        tries.append(ref.blob)
        raise FullError("no space")

    monkeypatch.setattr(PlacedPool, "rewrite", full)
    assert (Compacted(), 3 * MERGE_FROM) == (await site.run(), len(tries))
    site.clock.now += REST_MS - 1
    assert (Compacted(), 3 * MERGE_FROM) == (await site.run(), len(tries))
    monkeypatch.undo()
    site.clock.now += 1
    assert MERGE_FROM == (await site.run()).moved
    await site.verify(bucket, range(MERGE_FROM))


async def test_blob_with_a_damaged_row_keeps_its_bytes_and_holds_up_no_other(site: Site) -> None:
    bucket = await site.fill(10, live=3)
    key, row = (await site.store.rows(records.BLOB))[0]
    blob = decode(BlobRecord, row)
    await site.meta.commit([Put(key, row[:-1] + bytes((row[-1] ^ 1,)))])
    assert 2 == (await site.run()).moved
    for _ in range(3):
        site.clock.now += REST_MS
        await site.run()
    assert blob.ref is not None
    assert (await site.pools["main"].check(blob.ref)).is_whole
    await site.meta.commit([Put(key, row)])  # as `meta restore` does
    await site.verify(bucket, range(7, 10))


async def test_nothing_is_moved_where_metadata_is_full(site: Site) -> None:
    """The row of what was moved could not be changed: its new copies would only take space."""
    await site.fill(10, live=4)
    old = site.volumes()
    site.meta.is_full = True
    assert (Compacted(), old) == (await site.run(), site.volumes())
    site.meta.is_full = False
    site.clock.now += COMPACT_GRACE_MS
    assert 4 == (await site.run()).moved


async def test_emptied_volume_stays_for_readers_that_found_it_in_a_row(site: Site) -> None:
    bucket = await site.fill(3, live=1)
    record = await site.store.objects.get(bucket, "k002")
    blob = await site.store.objects.blob_of(record)
    assert 1 == (await site.run()).moved
    assert pattern(4096, seed=2) == await site.store.objects.read(blob, 0, 4096)
    site.clock.now += COMPACT_GRACE_MS - 1
    await site.run()
    assert pattern(4096, seed=2) == await site.store.objects.read(blob, 0, 4096)


async def test_volume_half_live_rests_before_it_is_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = await site.fill(10, live=6)
    looks: list[bytes] = []
    scan = DirectoryOsd.scan_volume

    def counted(osd: DirectoryOsd, volume: bytes) -> Iterator[tuple[bytes, int, int]]:
        looks.append(volume)
        return scan(osd, volume)

    monkeypatch.setattr(DirectoryOsd, "scan_volume", counted)
    assert (Compacted(), 3) == (await site.run(), len(looks))
    site.clock.now += REST_MS - 1
    assert (Compacted(), 3) == (await site.run(), len(looks))
    for number in (4, 5):
        await site.store.objects.delete(bucket, f"k{number:03}")
    await site.store.collect_all()
    site.clock.now += 1
    assert 4 == (await site.run()).moved
    await site.verify(bucket, range(6, 10))


async def test_step_moves_no_more_than_its_bound(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECORDS_AT_ONCE", 2)
    monkeypatch.setattr(module, "MOVE_BYTES_PER_STEP", 2 * 4096)
    bucket = await site.fill(20, live=7)
    steps = [await site.compact.step()]
    while steps[-1].has_more:
        steps.append(await site.compact.step())
        await site.verify(bucket, range(13, 20))
    moved = [step.moved for step in steps]
    assert 7 == sum(moved)
    assert max(moved) <= 3  # what was read together when the bound was reached


async def test_blob_that_is_deleted_while_it_moves_is_not_brought_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = await site.fill(10, live=2)
    rewrite = PlacedPool.rewrite

    async def deleted_meanwhile(pool: PlacedPool, ref: DataRef) -> DataRef:
        moved = await rewrite(pool, ref)
        await site.store.objects.delete(bucket, "k008")
        await site.store.collect_all()
        return moved

    monkeypatch.setattr(PlacedPool, "rewrite", deleted_meanwhile)
    assert 1 == (await site.run()).moved
    monkeypatch.undo()
    await site.verify(bucket, [9])


async def test_blob_that_is_deleted_just_before_its_move_is_committed_stays_deleted(
    site: Site,
) -> None:
    bucket = await site.fill(10, live=1)

    async def delete() -> None:
        await site.store.objects.delete(bucket, "k009")
        await site.store.collect_all()

    site.meta.before_next = delete
    assert Compacted() == await site.run()
    assert [] == await site.store.rows(records.BLOB)
    await site.verify(bucket, [])


async def test_blob_that_is_copied_while_it_moves_keeps_its_uses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = await site.fill(10, live=1)
    rewrite = PlacedPool.rewrite

    async def copied_meanwhile(pool: PlacedPool, ref: DataRef) -> DataRef:
        moved = await rewrite(pool, ref)
        await site.store.copying.copy(
            CopySource(bucket, "k009"), (bucket, "copy"), lambda _: ATTRIBUTES, UNCONDITIONAL
        )
        return moved

    monkeypatch.setattr(PlacedPool, "rewrite", copied_meanwhile)
    assert 1 == (await site.run()).moved
    await site.store.verify()
    assert pattern(4096, seed=9) == await site.store.body(bucket, "copy")


async def test_compaction_races_with_writers_and_the_collector(site: Site) -> None:
    bucket = await site.fill(40, live=15)

    async def overwrite() -> None:
        for number in range(25, 40, 2):
            await site.store.put(bucket, f"k{number:03}", pattern(4096, seed=number))
            site.clock.now += 60_000
            await site.store.collect.step()

    await asyncio.gather(site.run(), overwrite())
    await site.store.collect_all()
    await site.verify(bucket, range(25, 40))


async def test_commit_that_fails_loses_nothing_and_is_repeated_by_the_next_process(
    site: Site,
) -> None:
    bucket = await site.fill(10, live=3)
    site.meta.is_away = True
    with pytest.raises(ExceptionGroup):
        await site.run()
    site.meta.is_away = False
    await site.verify(bucket, range(7, 10))
    site.compact = site.new_compact()
    assert 3 == (await site.run()).moved
    await site.verify(bucket, range(7, 10))


async def test_full_osds_keep_what_they_have(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = await site.fill(10, live=3)

    async def full(pool: PlacedPool, ref: DataRef) -> DataRef:
        raise FullError("no space")

    monkeypatch.setattr(PlacedPool, "rewrite", full)
    for _ in range(3):
        assert Compacted() == await site.run()
        site.clock.now += REST_MS
    await site.verify(bucket, range(7, 10))


async def test_blob_of_an_unknown_pool_keeps_its_volume(site: Site) -> None:
    bucket = await site.fill(10, live=1)
    pool = site.pools.pop("main")
    for _ in range(3):
        assert Compacted() == await site.run()
        site.clock.now += REST_MS
    site.pools["main"] = pool
    await site.verify(bucket, [9])


@pytest.mark.parametrize("at", [0, 5, 20, RECORD_HEADER - 1])
async def test_records_behind_a_damaged_header_are_not_lost(site: Site, at: int) -> None:
    bucket = await site.fill(10, live=3)
    for path in site.root.glob("osd*/volumes/*"):  # all copies of record 2, which is dead
        content = bytearray(path.read_bytes())
        content[VOLUME_HEADER + 2 * (RECORD_HEADER + 4096) + at] ^= 1
        modified = path.stat().st_mtime
        path.write_bytes(content)
        os.utime(path, (modified, modified))
    assert 3 == (await site.run()).moved
    for _ in range(3):
        site.clock.now += COMPACT_GRACE_MS
        await site.run()
    await site.verify(bucket, range(7, 10))


async def test_copy_that_is_corrupt_is_made_whole_by_moving(site: Site) -> None:
    bucket = await site.fill(10, live=1)
    path = next(site.root.glob("osd1/volumes/*"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    modified = path.stat().st_mtime
    path.write_bytes(content)
    os.utime(path, (modified, modified))
    assert 1 == (await site.run()).moved
    await site.verify(bucket, [9])


async def test_volume_that_cannot_be_read_does_not_hold_up_the_others(site: Site) -> None:
    await site.fill(10, live=0)
    path = next(site.root.glob("osd0/volumes/*"))
    modified = path.stat().st_mtime
    path.write_bytes(b"no volume")
    os.utime(path, (modified, modified))
    await site.run()
    site.clock.now += COMPACT_GRACE_MS
    assert 2 == (await site.run()).volumes
    assert [path.name] == site.volumes()


async def test_record_that_is_adopted_after_the_first_look_keeps_its_volume(site: Site) -> None:
    """No commit takes that long; were one to do so, the second look still sees it."""
    await site.fill(1, live=0)
    ref = await site.pools["main"].write(BytesSource(b"late"))
    await site.seal()
    assert Compacted() == await site.run()
    row = encode(BlobRecord(size=4, ref=ref))
    await site.meta.commit([Put(records.blob_key(ref.blob), row)])
    site.clock.now += COMPACT_GRACE_MS
    await site.run()
    for _ in range(3):
        site.clock.now += REST_MS
        await site.run()
    found = decode(BlobRecord, await site.meta.get(records.blob_key(ref.blob)) or b"").ref
    assert found is not None
    assert b"late" == await site.pools["main"].read(found, 0, 4)


def test_lease_must_outlast_commits(site: Site) -> None:
    with pytest.raises(ValueError, match="may be under way"):
        Compact(site.meta, {}, {}, clock=site.clock, lease_ms=2 * ADOPT_WITHIN_MS - 1)
