"""Repair and scan: what is lost with an OSD is made again, the most endangered first."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from s3server.core import records
from s3server.core.records import BlobRecord, decode, encode
from s3server.core.repairs import ASTRAY, CORRUPT, LOST, MISSING, repair_row
from s3server.data.codec import codec_from_name
from s3server.data.osd_set import OsdSet
from s3server.jobs.repair import RETRY_LOST_MS, RETRY_MS, Repaired
from s3server.jobs.sweep import Sweep
from s3server.meta.base import Put
from s3server.model import DataRef
from tests.support.blobs import files_of, make_pool
from tests.support.core_store import GRACE_MS
from tests.support.healing import SIZES, Site

CODECS = ["replica:3", "ec:4+2"]
LEASE_MS = 3_600_000


def site_of(root: Path, codec: str, spare: int = 1) -> Site:
    total = codec_from_name(codec).total
    return Site(root, codec, total + spare, range(total))


@pytest.mark.parametrize("codec", CODECS)
async def test_what_was_on_a_lost_osd_is_made_again_elsewhere(tmp_path: Path, codec: str) -> None:
    site = site_of(tmp_path, codec)
    bucket = await site.fill()
    total = codec_from_name(codec).total
    del site.osds[0]
    await site.place_on([total, *range(1, total)])
    await site.run(site.scan)
    assert len(SIZES) == len(await site.repairs())
    assert (await site.heal()).repaired == len(SIZES)
    assert await site.repairs() == []
    await site.assert_whole(bucket)
    await site.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_shards_move_to_a_new_osd_and_their_old_files_go(tmp_path: Path, codec: str) -> None:
    site = site_of(tmp_path, codec)
    bucket = await site.fill()
    total = codec_from_name(codec).total
    before = [name for name in files_of(tmp_path) if name.startswith("osd0/shards")]
    await site.place_on([total, *range(1, total)])
    await site.run(site.scan)
    assert {level for level, _ in await site.repairs()} == {ASTRAY}
    assert (await site.heal()).moved == len(SIZES)
    await site.assert_whole(bucket)
    assert before == [name for name in files_of(tmp_path) if name.startswith("osd0/shards")]
    site.clock.now += GRACE_MS  # readers had time
    await site.repair.step()
    assert not [name for name in files_of(tmp_path) if name.startswith("osd0/shards")]
    await site.assert_whole(bucket)
    await site.close()


async def test_the_most_endangered_come_first(tmp_path: Path) -> None:
    site = site_of(tmp_path, "replica:3", spare=2)
    await site.fill(4)
    refs = await site.refs()
    for number, ref in enumerate(refs):
        lost = (0, 1) if number % 3 == 0 else (0,)
        await site.meta.commit([repair_row(ref, lost, MISSING, since_ms=1)])
    order: list[bytes] = []
    repaired = site.pools["main"].repair

    async def note(ref: DataRef, *, deep: bool = True) -> DataRef:
        order.append(ref.blob)
        return await repaired(ref, deep=deep)

    site.pools["main"].repair = note  # type: ignore[method-assign]
    await site.heal()
    endangered = {ref.blob for ref in refs[::3]}
    assert set(order[: len(endangered)]) == endangered
    assert len(order) == len(refs)
    await site.close()


async def test_what_cannot_be_repaired_now_is_tried_again_later(tmp_path: Path) -> None:
    site = Site(tmp_path, "replica:3", 3, range(3))
    bucket = await site.fill()
    taken = site.osds.pop(2)
    await site.place_on([0, 1, 2])
    for ref in await site.refs():
        await site.meta.commit([repair_row(ref, [2], MISSING, since_ms=1)])
    assert (await site.heal()).repaired == 0
    assert len(SIZES) == len(await site.repairs())
    assert await site.repair.step() == Repaired()  # it rests
    site.osds[2] = taken
    await site.place_on([0, 1, 2])
    site.clock.now += RETRY_MS + 1
    await site.heal()
    assert await site.repairs() == []
    await site.assert_whole(bucket)
    await site.close()


async def test_osd_that_is_back_is_used_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path, "replica:3", 3, range(3))
    bucket = await site.fill()
    await site.close()
    osds = OsdSet(site.osds)
    osds.mark_down(2, "is it mounted?")
    site.pools["main"] = make_pool(osds, "replica:3", seed=9)
    site.repair = site.new_repair(down=lambda: osds.down)
    (tmp_path / "osd2").rename(tmp_path / "pulled")
    for ref in await site.refs():
        await site.meta.commit([repair_row(ref, [2], MISSING, since_ms=1)])
    assert (await site.heal()).repaired == 0
    assert await site.repair.step() == Repaired()  # it rests
    (tmp_path / "pulled").rename(tmp_path / "osd2")
    osds.mark_up(2)
    await site.heal()
    assert await site.repairs() == []
    await site.assert_whole(bucket)
    await site.close()


async def test_blob_that_is_damaged_after_all_were_repaired_does_not_wait(tmp_path: Path) -> None:
    """Whatever its key: where the last round ended says nothing of it."""
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    refs = sorted(await site.refs(), key=lambda ref: ref.blob)
    for _ in range(2):
        for ref in reversed(refs):
            site.damage(ref, 0)
            await site.meta.commit([repair_row(ref, [0], CORRUPT, since_ms=1)])
            assert (await site.heal()).repaired == 1
    await site.close()


async def test_how_much_is_left_is_known_as_soon_as_repair_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3server.jobs.repair.ROWS_PER_STEP", 1)
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    assert await site.repair.step() == Repaired()
    assert (0, 0) == (site.repair.progress.done, site.repair.progress.total)
    for ref in await site.refs():
        site.damage(ref, 0)
        await site.meta.commit([repair_row(ref, [0], CORRUPT, since_ms=1)])
    await site.repair.step()
    assert (1, len(SIZES)) == (site.repair.progress.done, site.repair.progress.total)
    await site.close()


async def test_damaged_blob_row_holds_up_neither_scan_scrub_nor_repair(tmp_path: Path) -> None:
    site = site_of(tmp_path, "replica:3")
    bucket = await site.fill()
    ((key, row), *_) = await site.store.rows(records.BLOB)
    await site.meta.commit([repair_row(ref, [0], MISSING, since_ms=1) for ref in await site.refs()])
    await site.meta.commit([Put(key, row[:-1] + bytes((row[-1] ^ 1,)))])
    del site.osds[0]
    await site.place_on([3, 1, 2])
    await site.run(site.scan)
    await site.run(site.deep)
    assert (await site.heal()).repaired == len(SIZES) - 1
    assert [key[1:]] == [repair[2:] for repair, _ in await site.store.rows(records.REPAIR)]
    await site.meta.commit([Put(key, row)])
    site.clock.now += RETRY_MS + 1
    assert (await site.heal()).repaired == 1
    await site.assert_whole(bucket)
    await site.close()


async def test_unreadable_blob_is_listed_and_repaired_once_its_osds_are_back(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, "ec:4+2", 7, range(6))
    bucket = await site.fill()
    large = [ref for ref in await site.refs() if ref.stripe]
    taken = {osd: site.osds.pop(osd) for osd in (0, 1, 2)}
    await site.place_on([6, 1, 2, 3, 4, 5])
    for ref in large:
        await site.meta.commit([repair_row(ref, [0, 1, 2], MISSING, since_ms=1)])
    assert (await site.heal()).lost == len(large)
    assert {level for level, _ in await site.repairs()} == {LOST}
    assert [ref.blob for ref in large] == [row.blob for _, row in await site.repairs()]
    site.osds |= taken
    await site.place_on(range(6))
    site.clock.now += RETRY_LOST_MS + 1
    await site.heal()
    assert await site.repairs() == []
    await site.assert_whole(bucket)
    await site.close()


async def test_row_of_a_deleted_blob_goes(tmp_path: Path) -> None:
    site = Site(tmp_path, "replica:3", 3, range(3))
    bucket = await site.fill()
    for ref in await site.refs():
        await site.meta.commit([repair_row(ref, [1], MISSING, since_ms=1)])
    for size in SIZES:
        await site.store.objects.delete(bucket, f"{size}-0")
    await site.store.collect_all()
    await site.heal()
    assert await site.repairs() == []
    await site.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_blob_deleted_while_it_is_repaired_leaves_nothing(tmp_path: Path, codec: str) -> None:
    site = site_of(tmp_path, codec)
    bucket = await site.store.bucket()
    await site.store.put(bucket, "200000-0", bytes(200_000))
    total = codec_from_name(codec).total
    await site.place_on([total, *range(1, total)])
    await site.run(site.scan)
    repaired = site.pools["main"].repair

    async def delete_first(ref: DataRef, *, deep: bool = True) -> DataRef:
        moved = await repaired(ref, deep=deep)
        await site.store.objects.delete(bucket, "200000-0")
        await site.store.collect_all()
        return moved

    site.pools["main"].repair = delete_first  # type: ignore[method-assign]
    await site.heal()
    assert files_of(tmp_path) == []
    await site.close()


@pytest.mark.parametrize("passed_ms", [RETRY_MS + 1, -3_600_000])  # or the clock is set back
@pytest.mark.parametrize("size", [1, 200_000])
async def test_blob_deleted_before_it_is_read_is_not_told_to_be_lost(
    tmp_path: Path, size: int, passed_ms: int
) -> None:
    site = site_of(tmp_path, "replica:3")
    bucket = await site.store.bucket()
    await site.store.put(bucket, "key", bytes(size))
    await site.meta.commit([repair_row((await site.refs())[0], [1], MISSING, since_ms=1)])
    repaired = site.pools["main"].repair

    async def delete_first(ref: DataRef, *, deep: bool = True) -> DataRef:
        await site.store.objects.delete(bucket, "key")
        await site.store.collect_all()
        return await repaired(ref, deep=deep)

    site.pools["main"].repair = delete_first  # type: ignore[method-assign]
    with capture_logs() as logs:
        assert (await site.heal()).lost == 0
    assert "blob cannot be read" not in [entry["event"] for entry in logs]
    site.clock.now += passed_ms
    await site.heal()
    assert await site.repairs() == []
    await site.close()


async def test_blob_moved_by_another_meanwhile_is_left_as_that_one_put_it(tmp_path: Path) -> None:
    """A second runner beside this one: whatever order they come in, the blob is whole."""
    site = site_of(tmp_path, "replica:3")
    bucket = await site.fill()
    await site.place_on([3, 1, 2])
    await site.run(site.scan)
    other = site.new_repair()
    repaired = site.pools["main"].repair
    turns: list[int] = []

    async def let_the_other_in(ref: DataRef, *, deep: bool = True) -> DataRef:
        moved = await repaired(ref, deep=deep)
        if not turns:
            turns.append(1)
            await site.run(other)
        return moved

    site.pools["main"].repair = let_the_other_in  # type: ignore[method-assign]
    await site.heal()
    site.clock.now += RETRY_MS + GRACE_MS
    await site.heal()
    await other.step()
    await site.repair.step()
    assert await site.repairs() == []
    await site.assert_whole(bucket)
    await site.close()


async def test_scan_goes_on_where_it_was_and_begins_anew_with_the_next_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3server.jobs.scan.ROWS_PER_STEP", 2)
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    await site.place_on([3, 1, 2])
    assert (await site.scan.step()).has_more
    again = Site.__new__(Site)
    again.__dict__.update(site.__dict__)
    again.scan = type(site.scan)(site.meta, site.pools, clock=site.clock, epoch=lambda: site.epoch)
    assert len(await site.run(again.scan)) == (len(SIZES) - 2) // 2 + 1
    assert len(SIZES) == len(await site.repairs())
    assert not (await site.scan.step()).has_more
    await site.place_on([0, 1, 2])
    assert (await site.scan.step()).has_more
    await site.close()


async def test_deleted_objects_do_not_come_back_with_their_osd(tmp_path: Path) -> None:
    site = site_of(tmp_path, "replica:3")
    bucket = await site.fill()
    taken = site.osds.pop(0)
    await site.place_on([3, 1, 2])
    await site.run(site.scan)
    for size in SIZES[:-1]:
        await site.store.objects.delete(bucket, f"{size}-0")
    await site.store.collect_all()
    await site.heal()
    site.osds[0] = taken
    await site.place_on([3, 1, 2])
    assert [name for name in files_of(tmp_path) if name.startswith("osd0/shards")]
    site.clock.now = round(max(
        path.stat().st_mtime for path in tmp_path.rglob("*") if path.is_file()
    ) * 1000) + LEASE_MS + 1  # fmt: skip
    sweep = Sweep(site.meta, site.osds, clock=site.clock, lease_ms=LEASE_MS)
    while (await sweep.step()).has_more:
        pass
    assert not [name for name in files_of(tmp_path) if name.startswith("osd0/shards")]
    await site.run(site.deep)
    await site.heal()
    page = await site.store.listing.objects(bucket, prefix="", delimiter="", after="", limit=99)
    assert [key for key, _ in page.objects] == [f"{SIZES[-1]}-0"]
    await site.assert_whole(bucket)
    await site.close()


async def test_full_metadata_store_puts_repair_off(tmp_path: Path) -> None:
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    await site.place_on([3, 1, 2])
    await site.run(site.scan)
    before = files_of(tmp_path)

    class Full(type(site.meta)):  # type: ignore[misc]
        is_full = True

    site.meta.__class__ = Full
    assert await site.repair.step() == Repaired()
    assert files_of(tmp_path) == before
    await site.close()


async def test_copy_of_an_object_counts_after_a_repair(tmp_path: Path) -> None:
    """A use that is added while the blob is repaired is not lost."""
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    await site.place_on([3, 1, 2])
    await site.run(site.scan)
    repaired = site.pools["main"].repair

    async def share(ref: DataRef, *, deep: bool = True) -> DataRef:
        key = records.blob_key(ref.blob)
        row = await site.meta.get(key)
        assert row is not None
        record = decode(BlobRecord, row)
        await site.meta.commit([Put(key, encode(replace(record, uses=record.uses + 1)))])
        return await repaired(ref, deep=deep)

    site.pools["main"].repair = share  # type: ignore[method-assign]
    await site.heal()
    rows = [decode(BlobRecord, row) for _, row in await site.store.rows(records.BLOB)]
    assert {record.uses for record in rows} == {2}
    await site.close()
