"""The appender lets go of its volumes: compaction may look at them, zeros written ahead go."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from s3server.data.appender import Appender
from s3server.data.layout import RECORD_HEADER, VOLUME_HEADER, record_header
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.vfs import FIRST_AHEAD, Vfs
from s3server.data.volumes import Record
from s3server.data.workers import Fanout
from s3server.model import ShardPlace
from tests.support.blobs import make_osds, numbered_ids

SOON_S = 60.0
ONE = VOLUME_HEADER + RECORD_HEADER + 4  # size of a volume with one record


@asynccontextmanager
async def appender_on(
    osds: dict[int, DirectoryOsd], *, idle_s: float = 3600, hold_s: float = 3600
) -> AsyncIterator[Appender]:
    ids = numbered_ids()
    appender = Appender(OsdSet(osds), lambda: ids()[:8], Fanout(), idle_s=idle_s, hold_s=hold_s)
    try:
        yield appender
    finally:
        await asyncio.to_thread(appender.close)


async def append(appender: Appender) -> bytes:
    """Append a record to OSD 0 and return the volume that took it."""
    (place,) = await appender.append(Record(record_header(bytes(16), 4, 0), b"data"), [0])
    assert isinstance(place, ShardPlace)
    return place.volume


def states(osd: DirectoryOsd) -> list[bool]:
    return [volume.is_open for volume in osd.list_volumes()]


def sizes(osd: DirectoryOsd) -> list[int]:
    return [volume.size for volume in osd.list_volumes()]


async def test_volume_is_kept_from_one_record_to_the_next(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    async with appender_on(osds) as appender:
        assert await append(appender) == await append(appender)
        assert [True] == states(osds[0])


async def test_idle_appender_lets_go_of_its_volumes_and_goes_on(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    async with appender_on(osds, idle_s=0.01) as appender:
        first = await append(appender)
        async with asyncio.timeout(SOON_S):
            while True in states(osds[0]):
                await asyncio.sleep(0.005)
        assert [ONE] == sizes(osds[0])
        assert first != await append(appender)


async def test_volume_that_was_held_for_long_is_let_go_of(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    async with appender_on(osds, hold_s=0) as appender:
        volumes = [await append(appender) for _ in range(3)]
        assert 3 == len(set(volumes))
        found = {volume.id: volume.is_open for volume in osds[0].list_volumes()}
        assert found == {volumes[0]: False, volumes[1]: False, volumes[2]: True}
        assert [ONE, ONE, FIRST_AHEAD] == sorted(sizes(osds[0]))
    assert [ONE] * 3 == sizes(osds[0])


async def test_volume_that_was_removed_takes_nothing_more(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    async with appender_on(osds) as appender:
        removed = await append(appender)
        Path(osds[0].volume_path(removed)).unlink()
        following = await append(appender)
        assert [following] == [volume.id for volume in osds[0].list_volumes()]
        assert 1 == len(list(osds[0].scan_volume(following)))
        assert following == await append(appender)


async def test_volume_that_cannot_be_cut_off_is_let_go_of_all_the_same(tmp_path: Path) -> None:
    class Uncuttable(Vfs):
        def truncate(self, fd: int, size: int) -> None:
            raise OSError(errno.EIO, "no")

    osds = make_osds(tmp_path, 1, Uncuttable())
    async with appender_on(osds, hold_s=0) as appender:
        first, second = await append(appender), await append(appender)
        assert first != second
    assert 1 == len(list(osds[0].scan_volume(first)))
