"""An OSD that was down for too long is out, once, and only where that lets its shards be remade."""

from __future__ import annotations

from pathlib import Path

from s3server.core.records import encode
from s3server.core.upkeep_records import DownRecord, osd_down_key
from s3server.jobs.out import MarkedOut, Out
from s3server.meta.base import Delete, Put
from tests.support.cluster_maps import MappedStore, numbered

DOWN_OUT_MS = 600_000


async def with_osd_1_down(tmp_path: Path, count: int) -> tuple[MappedStore, Out]:
    site = MappedStore(tmp_path)
    await site.seed(*numbered(count))
    down = DownRecord(osd=1, since_ms=site.clock.now, reason="EIO")
    await site.meta.commit([Put(osd_down_key(1), encode(down))])
    return site, Out(site.meta, clock=site.clock, down_out_ms=DOWN_OUT_MS)


async def state_of(site: MappedStore, osd: int) -> str:
    return (await site.maps.current()).osd(osd).state


async def test_osd_is_out_when_it_was_down_for_too_long(tmp_path: Path) -> None:
    site, job = await with_osd_1_down(tmp_path, 4)
    epoch = (await site.maps.current()).epoch
    site.clock.now += DOWN_OUT_MS - 1
    assert await job.step() == MarkedOut()
    assert await state_of(site, 1) == "in"
    site.clock.now += 1
    assert await job.step() == MarkedOut(out=1)
    assert await state_of(site, 1) == "out"
    assert await job.step() == MarkedOut()
    assert (await site.maps.current()).epoch == epoch + 1


async def test_osd_that_came_back_in_time_stays_in(tmp_path: Path) -> None:
    site, job = await with_osd_1_down(tmp_path, 4)
    await site.meta.commit([Delete(osd_down_key(1))])
    site.clock.now += DOWN_OUT_MS
    assert await job.step() == MarkedOut()
    assert await state_of(site, 1) == "in"


async def test_osd_stays_in_where_too_few_would_be_left(tmp_path: Path) -> None:
    site, job = await with_osd_1_down(tmp_path, 3)
    site.clock.now += DOWN_OUT_MS
    assert await job.step() == MarkedOut()
    assert await state_of(site, 1) == "in"
    assert "osd.1" in job.progress.note
