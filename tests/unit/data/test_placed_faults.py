"""Writes that fail: an error to the caller, no file left, and the next write is whole."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from pathlib import Path

import pytest

from s3server.data.base import DataError, FullError, UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.layout import RECORD_HEADER, VOLUME_HEADER
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.data.vfs import Vfs
from s3server.model import DataRef
from tests.support.blobs import (
    CLUSTER,
    BytesSource,
    collect,
    files_of,
    make_osds,
    make_pool,
    numbered_ids,
    pattern,
)
from tests.support.failing_vfs import FAULTS, FailingVfs, NoDirectVfs

LARGE = 1_200_000
SMALL_CALLS = {"create": 3, "append_durably": 6, "fsync": 3, "rename": 3}


def expected_of(code: int | None) -> type[DataError]:
    return FullError if code in (None, errno.ENOSPC) else UnavailableError


async def attempt(pool: PlacedPool, size: int) -> type[DataError] | None:
    """Write a blob and return the kind of error that it ended with."""
    try:
        await pool.write(BytesSource(pattern(size)))
    except DataError as error:
        return type(error)
    return None


@pytest.mark.parametrize(("method", "code"), [f for f in FAULTS if f[0] != "append_durably"])
@pytest.mark.parametrize("codec", ["replica:3", "ec:2+1"])
async def test_fault_at_any_call_of_a_large_write(
    tmp_path: Path, codec: str, method: str, code: int | None
) -> None:
    vfs = FailingVfs()
    pool = make_pool(make_osds(tmp_path, 3, vfs), codec)
    vfs.heal()
    assert await attempt(pool, LARGE) is None
    calls, before = vfs.calls[method], files_of(tmp_path)
    assert calls >= 3
    for at in range(1, calls + 1):
        vfs.fail(method, at, code)
        assert await attempt(pool, LARGE) is expected_of(code)
        assert files_of(tmp_path) == before
    vfs.heal()
    ref = await pool.write(BytesSource(pattern(LARGE)))
    assert await pool.read(ref, 0, LARGE) == pattern(LARGE)
    await pool.close()


@pytest.mark.parametrize(("method", "code"), [f for f in FAULTS if f[0] in SMALL_CALLS])
async def test_fault_at_any_call_of_the_first_small_write(
    tmp_path: Path, method: str, code: int | None
) -> None:
    """The first one creates the volumes."""
    calls = SMALL_CALLS[method]
    for at in range(1, calls + 2):
        vfs = FailingVfs()
        root = tmp_path / str(at)
        root.mkdir()
        pool = make_pool(make_osds(root, 3, vfs), "replica:3")
        vfs.fail(method, at, code)
        is_last = at == calls + 1
        assert await attempt(pool, 5000) is (None if is_last else expected_of(code))
        names = files_of(root)
        assert (len(names), ["incoming" in name for name in names].count(True)) == (
            3 if is_last else 2,  # volumes of the OSDs that worked
            0,
        )
        vfs.heal()
        ref = await pool.write(BytesSource(pattern(700)))
        assert await pool.read(ref, 0, 700) == pattern(700)
        await pool.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, None])
async def test_volume_is_never_appended_to_after_an_error(tmp_path: Path, code: int | None) -> None:
    vfs = FailingVfs()
    pool = make_pool(make_osds(tmp_path, 1, vfs), "replica:1")
    before = await pool.write(BytesSource(pattern(700)))
    vfs.fail("append_durably", 1, code)
    with pytest.raises(DataError):
        await pool.write(BytesSource(pattern(5000)))
    sealed, _ = vfs.appended[-1]
    vfs.appended.clear()
    after = await pool.write(BytesSource(pattern(4096)))
    assert sealed not in {inode for inode, _ in vfs.appended}
    assert after.shards[0].volume != before.shards[0].volume
    assert await pool.read(before, 0, 700) == pattern(700)
    await pool.close()


async def test_only_the_records_of_the_failed_osd_fail(tmp_path: Path) -> None:
    vfs = FailingVfs()
    osds = make_osds(tmp_path, 1, vfs) | {
        1: DirectoryOsd.initialise(str(tmp_path / "whole"), cluster="a-cluster", osd=1)
    }
    broken = make_pool(osds, "replica:2")
    whole = make_pool(osds, "replica:1", on=[1], seed=2)
    vfs.fail("create", 1, errno.EIO)
    with pytest.raises(UnavailableError):
        await broken.write(BytesSource(b"abc"))
    ref = await whole.write(BytesSource(b"abc"))
    assert await whole.read(ref, 0, 3) == b"abc"
    await broken.close()
    await whole.close()


class RefusingVfs(Vfs):
    """Of an OSD that is read-only, or that has no space left."""

    def __init__(self, code: int) -> None:
        self.code: int | None = code

    def create(self, path: str, *, direct: bool = False) -> int:
        if self.code == errno.EROFS:
            raise OSError(self.code, os.strerror(self.code))
        return super().create(path, direct=direct)

    def usage(self, path: str) -> os.statvfs_result:
        found = list(super().usage(path))
        found[4] = 0 if self.code == errno.ENOSPC else found[4]  # f_bavail
        return os.statvfs_result(found)


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC])
async def test_osd_that_takes_nothing_does_not_fill_the_others(tmp_path: Path, code: int) -> None:
    """Clients try again and again; what the others took each time would be dead."""
    vfs = RefusingVfs(code)
    refusing = DirectoryOsd.initialise(str(tmp_path / "bad"), cluster=CLUSTER, osd=2)
    osds = make_osds(tmp_path, 2) | {2: DirectoryOsd(refusing.path, 2, vfs)}
    pool = make_pool(osds, "replica:3")
    whole = make_pool(osds, "replica:2", seed=2)
    for _ in range(5):
        assert await attempt(pool, 5000) is expected_of(code)
    sizes = {volume.size for osd in (0, 1) for volume in osds[osd].list_volumes()}
    assert ({VOLUME_HEADER}, []) == (sizes, list(refusing.list_volumes()))
    both = await asyncio.gather(attempt(pool, 5000), attempt(whole, 5000))
    assert [expected_of(code), None] == both
    vfs.code = None
    ref = await pool.write(BytesSource(pattern(700)))
    assert (await pool.check(ref)).is_whole
    await pool.close()
    await whole.close()


async def test_record_beside_one_that_is_refused_gets_its_own_places(tmp_path: Path) -> None:
    vfs = RefusingVfs(errno.EROFS)
    refusing = DirectoryOsd.initialise(str(tmp_path / "bad"), cluster=CLUSTER, osd=2)
    osds = make_osds(tmp_path, 2) | {2: DirectoryOsd(refusing.path, 2, vfs)}
    turns = itertools.cycle([[0, 2], [0, 1]])
    pool = PlacedPool(
        "main", codec_from_name("replica:2"), osds, lambda blob: next(turns), numbered_ids()
    )
    blobs = [pattern(100 + number, seed=number) for number in range(40)]
    refs = await asyncio.gather(
        *(pool.write(BytesSource(data)) for data in blobs), return_exceptions=True
    )
    assert [UnavailableError, DataRef] * 20 == [type(ref) for ref in refs]
    for ref, data in zip(refs[1::2], blobs[1::2], strict=True):
        assert isinstance(ref, DataRef)
        assert (await pool.check(ref)).is_whole
        assert data == await pool.read(ref, 0, ref.size)
    await pool.close()


async def test_waiting_records_share_a_write(tmp_path: Path) -> None:
    vfs = FailingVfs()
    pool = make_pool(make_osds(tmp_path, 3, vfs), "replica:3")
    blobs = [pattern(100 + number, seed=number) for number in range(600)]
    refs = await asyncio.gather(*(pool.write(BytesSource(data)) for data in blobs))
    assert vfs.calls["append_durably"] < 600
    assert [await pool.read(ref, 0, ref.size) for ref in refs] == blobs
    spans = sorted(
        (ref.shards[0].offset, ref.shards[0].offset + RECORD_HEADER + ref.size) for ref in refs
    )
    assert spans[0][0] == VOLUME_HEADER
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))
    await pool.close()


async def test_volume_is_followed_by_another_at_its_limit(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    pool = make_pool(osds, "replica:1", volume_limit=10_000)
    refs = [await pool.write(BytesSource(pattern(4096, seed=seed))) for seed in range(7)]
    volumes = [ref.shards[0].volume for ref in refs]
    assert [volumes.index(volume) for volume in volumes] == [0, 0, 0, 3, 3, 3, 6]
    assert [each.is_open for each in osds[0].list_volumes()].count(True) == 1
    for seed, ref in enumerate(refs):
        assert await pool.read(ref, 0, 4096) == pattern(4096, seed=seed)
    await pool.close()


async def test_each_process_begins_a_volume_of_its_own(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    volumes = set()
    for seed in (1, 2, 3):
        pool = make_pool(osds, "replica:1", seed=seed)
        volumes.add((await pool.write(BytesSource(b"abc"))).shards[0].volume)
        await pool.close()
    assert {each.id for each in osds[0].list_volumes()} == volumes
    assert len(volumes) == 3


async def test_removed_volume_gives_its_space_back(tmp_path: Path) -> None:
    """A reader that has it open lets go when it opens another, as compaction makes it do."""
    osds = make_osds(tmp_path, 1)
    writer, reader = make_pool(osds, "replica:1"), make_pool(osds, "replica:1")
    old = await writer.write(BytesSource(b"old"))
    await reader.check(old)
    await writer.close()
    osds[0].remove_volume(old.shards[0].volume)
    other = make_pool(osds, "replica:1", seed=2)
    new = await other.write(BytesSource(b"new"))
    assert await reader.read(new, 0, 3) == b"new"
    with pytest.raises(UnavailableError):
        await reader.read(old, 0, 3)
    await other.close()
    await reader.close()


@pytest.mark.parametrize("placed", [[0, 1], [0, 1, 7]])
async def test_placement_without_enough_osds_is_an_error(tmp_path: Path, placed: list[int]) -> None:
    pool = make_pool(make_osds(tmp_path, 3), "replica:3", on=placed)
    for size in (100, 100_000):
        with pytest.raises(UnavailableError):
            await pool.write(BytesSource(pattern(size)))
    assert files_of(tmp_path) == []
    await pool.close()


@pytest.mark.parametrize("codec", ["replica:3", "ec:2+1"])
async def test_file_system_without_direct_writes(tmp_path: Path, codec: str) -> None:
    pool = make_pool(make_osds(tmp_path, 3, NoDirectVfs()), codec)
    for size in (1, 4096, 65_537, 5_000_001):
        ref = await pool.write(BytesSource(pattern(size)))
        assert await pool.read(ref, 0, size) == pattern(size)
        assert await collect(pool, ref) == pattern(size)
        assert (await pool.check(ref)).is_whole
    await pool.close()


@pytest.mark.parametrize("count", [1, 20])
async def test_concurrent_large_writes(tmp_path: Path, count: int) -> None:
    pool = make_pool(make_osds(tmp_path, 3), "replica:3")
    blobs = [pattern(2_500_000, seed=seed) for seed in range(count)]
    refs = await asyncio.gather(*(pool.write(BytesSource(data)) for data in blobs))
    assert [await pool.read(ref, 0, ref.size) for ref in refs] == blobs
    await pool.close()
