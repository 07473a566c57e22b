"""Scrubs find what is missing or damaged, and ask for its repair; they change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3server.core.records import blob_key
from s3server.core.repairs import LOST
from s3server.data.base import Health
from s3server.data.codec import codec_from_name
from s3server.jobs.scrub import Scrubbed
from s3server.jobs.throttle import Throttle
from s3server.meta.base import Delete
from s3server.model import DataRef
from tests.support.blobs import files_of
from tests.support.healing import DAY_MS, SIZES, Site

CODECS = ["replica:3", "ec:4+2"]


def site_of(root: Path, codec: str) -> Site:
    total = codec_from_name(codec).total
    return Site(root, codec, total, range(total))


def content_of(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in files_of(root)}


def total(results: list[object]) -> Scrubbed:
    done = [each for each in results if isinstance(each, Scrubbed)]
    return Scrubbed(
        blobs=sum(each.blobs for each in done),
        missing=sum(each.missing for each in done),
        corrupt=sum(each.corrupt for each in done),
        unreadable=sum(each.unreadable for each in done),
    )


@pytest.mark.parametrize("codec", CODECS)
async def test_whole_blobs_ask_for_nothing(tmp_path: Path, codec: str) -> None:
    site = site_of(tmp_path, codec)
    await site.fill()
    for scrub in (site.light, site.deep):
        assert total(await site.run(scrub)) == Scrubbed(blobs=len(SIZES))
    assert await site.repairs() == []
    await site.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_flipped_bits_are_found_by_the_deep_scrub_and_healed(
    tmp_path: Path, codec: str
) -> None:
    site = site_of(tmp_path, codec)
    bucket = await site.fill()
    for number, ref in enumerate(await site.refs()):
        site.damage(ref, number % len(ref.shards))
    assert total(await site.run(site.light)) == Scrubbed(blobs=len(SIZES))
    before = content_of(tmp_path)
    assert total(await site.run(site.deep)) == Scrubbed(blobs=len(SIZES), corrupt=len(SIZES))
    assert content_of(tmp_path) == before
    assert (await site.heal()).repaired == len(SIZES)
    await site.assert_whole(bucket)
    await site.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_missing_files_are_found_by_the_light_scrub_and_healed(
    tmp_path: Path, codec: str
) -> None:
    site = site_of(tmp_path, codec)
    bucket = await site.fill()
    for ref in await site.refs():
        if ref.stripe:
            site.file_of(ref, 1).unlink()
            path = site.file_of(ref, 2)
            path.write_bytes(path.read_bytes()[:-1])
    large = sum(size > 65_536 for size in SIZES)
    found = total(await site.run(site.light))
    assert found == Scrubbed(blobs=len(SIZES), missing=large, corrupt=large)
    await site.heal()
    await site.assert_whole(bucket)
    await site.close()


async def test_too_much_damage_is_listed_and_nothing_is_touched(tmp_path: Path) -> None:
    site = site_of(tmp_path, "ec:4+2")
    await site.fill()
    ref = next(ref for ref in await site.refs() if ref.stripe)
    for index in range(3):
        site.damage(ref, index)
    before = content_of(tmp_path)
    assert total(await site.run(site.deep)).unreadable == 1
    assert (await site.heal()).lost == 1
    assert [(level, row.blob) for level, row in await site.repairs()] == [(LOST, ref.blob)]
    assert content_of(tmp_path) == before
    await site.run(site.deep)
    await site.close()


async def test_what_is_freed_while_it_is_looked_at_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    pool = site.pools["main"]
    check = pool.check

    async def freed_first(ref: DataRef, *, deep: bool = True) -> Health:
        await site.meta.commit([Delete(blob_key(ref.blob))])  # as the collector does
        await pool.delete(ref)
        return await check(ref, deep=deep)

    monkeypatch.setattr(pool, "check", freed_first)
    assert total(await site.run(site.light)) == Scrubbed(blobs=len(SIZES))
    assert await site.repairs() == []
    await site.close()


async def test_what_lies_on_an_osd_that_is_away_is_no_damage(tmp_path: Path) -> None:
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    site.damage((await site.refs())[-1], 1)
    del site.osds[0]
    await site.place_on([0, 1, 2])
    found = total(await site.run(site.deep))
    assert (found.missing, found.corrupt) == (0, 1)
    await site.close()


async def test_round_goes_on_where_a_crash_ended_it_and_rests_until_it_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3server.jobs.scrub.ROWS_PER_STEP", 2)
    site = site_of(tmp_path, "replica:3")
    await site.fill()
    assert (await site.deep.step()).blobs == 2
    again = site.scrub(deep=True)
    assert total(await site.run(again)).blobs == len(SIZES) - 2
    assert await site.deep.step() == Scrubbed()
    site.clock.now += 7 * DAY_MS - 1
    assert await site.deep.step() == Scrubbed()
    site.clock.now += 1
    assert total(await site.run(site.deep)).blobs == len(SIZES)
    site.clock.now -= 100 * DAY_MS  # a clock set back does not put the next round off
    assert total(await site.run(site.deep)).blobs == len(SIZES)
    await site.close()


async def test_throttle_waits_for_what_was_spent() -> None:
    now, waited = [100.0], list[float]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    throttle = Throttle(10, timer=lambda: now[0], sleep=sleep)
    for _ in range(20):
        await throttle.spend(10 << 20)
    assert 18 <= sum(waited) <= 20
    await Throttle(0, timer=lambda: now[0], sleep=sleep).spend(1 << 40)
    assert 18 <= sum(waited) <= 20
