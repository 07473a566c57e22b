"""Ranges of large blobs: files stay open between reads, and every byte is verified all the same."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from s3server.data.base import UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.layout import BLOCK, Shard
from s3server.data.open_shards import OpenShards
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import AT_ONCE, PlacedPool
from s3server.data.vfs import Vfs
from s3server.model import DataRef
from tests.support.blobs import BytesSource, make_osds, make_pool, pattern

MIB = 1 << 20
SIZE = 3 * MIB + 70_000


class CountingVfs(Vfs):
    """Everything is in the page cache. Counts files that are opened, and reads that might wait."""

    def __init__(self) -> None:
        self.opened = self.waits = 0

    def open(self, path: str) -> int:
        self.opened += 1
        return super().open(path)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self.waits += 1
        return super().pread(fd, size, offset)

    def pread_cached(self, fd: int, buffer: bytearray, offset: int) -> int:
        return os.preadv(fd, [buffer], offset)


class UncachedVfs(Vfs):
    """Nothing is in the page cache."""

    def pread_cached(self, fd: int, buffer: bytearray, offset: int) -> int:
        return 0


def damage(osds: dict[int, DirectoryOsd], ref: DataRef, index: int, offset: int) -> None:
    """Flip a byte of a shard in its place, as a disk would."""
    path = Path(osds[ref.shards[index].osd].shard_path(ref.blob, index))
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


async def stored(pool: PlacedPool) -> DataRef:
    return await pool.write(BytesSource(pattern(SIZE)))


@pytest.mark.parametrize("vfs", [Vfs(), UncachedVfs()], ids=["cached", "not cached"])
@pytest.mark.parametrize("codec", ["replica:3", "ec:4+2", "ec:2+1"])
async def test_any_range_is_that_of_the_blob(tmp_path: Path, codec: str, vfs: Vfs) -> None:
    pool = make_pool(make_osds(tmp_path, codec_from_name(codec).total, vfs), codec)
    ref, data, random = await stored(pool), pattern(SIZE), Random(7)
    edges = [0, 1, BLOCK - 1, BLOCK, MIB - 1, MIB, MIB + 1, 2 * MIB, SIZE - 1, SIZE]
    for _ in range(300):
        low, high = sorted(random.choice(edges) + random.randrange(-9, 9) for _ in range(2))
        if random.random() < 0.5:
            high = low + random.randrange(1, AT_ONCE + 2)
        start, stop = max(low, 0), min(max(high, 1), SIZE)
        if start < stop:
            assert data[start:stop] == await pool.read(ref, start, stop)
    await pool.close()


async def test_a_second_range_opens_nothing_and_waits_for_nothing(tmp_path: Path) -> None:
    vfs = CountingVfs()
    pool = make_pool(make_osds(tmp_path, 3, vfs), "replica:3")
    ref = await stored(pool)
    await pool.read(ref, 100, 5_000)
    before = vfs.opened, vfs.waits
    assert pattern(SIZE)[MIB - 10 : MIB + 10] == await pool.read(ref, MIB - 10, MIB + 10)
    assert before == (vfs.opened, vfs.waits)
    await pool.close()


@pytest.mark.parametrize("codec", ["replica:3", "ec:4+2"])
async def test_damage_of_an_open_file_is_met_reported_and_not_served(
    tmp_path: Path, codec: str
) -> None:
    found: list[tuple[int, str]] = []
    osds = make_osds(tmp_path, codec_from_name(codec).total)
    pool = make_pool(
        osds, codec, on_damage=lambda ref, index, reason: found.append((index, reason))
    )
    ref = await stored(pool)
    assert pattern(SIZE)[:100] == await pool.read(ref, 0, 100)
    damage(osds, ref, 0, 50 + 80)
    assert pattern(SIZE)[:100] == await pool.read(ref, 0, 100)
    assert [(0, "corrupt")] == found
    await pool.close()


async def test_a_shard_that_was_repaired_is_read_where_the_damaged_one_was_open(
    tmp_path: Path,
) -> None:
    found: list[tuple[int, str]] = []
    osds = make_osds(tmp_path, 3)
    pool = make_pool(
        osds, "replica:3", on_damage=lambda ref, index, reason: found.append((index, reason))
    )
    ref = await stored(pool)
    await pool.read(ref, 0, 100)
    damage(osds, ref, 0, 50)
    assert ref == await pool.repair(ref)  # the file that is open has no name any more
    for index in (1, 2):  # so that only the repaired one is left
        Path(osds[ref.shards[index].osd].shard_path(ref.blob, index)).unlink()
    assert pattern(SIZE)[:100] == await pool.read(ref, 0, 100)
    assert [] == found
    await pool.close()


async def test_what_is_damaged_everywhere_is_never_served(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    ref = await stored(pool)
    await pool.read(ref, 0, 100)
    for index in range(3):
        damage(osds, ref, index, 50)
    with pytest.raises(UnavailableError):
        await pool.read(ref, 0, 100)
    assert pattern(SIZE)[BLOCK : BLOCK + 9] == await pool.read(ref, BLOCK, BLOCK + 9)
    await pool.close()


async def test_a_file_is_let_go_of_when_nobody_reads_it(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    ref = await stored(pool)
    await pool.close()
    files, osd = OpenShards(), osds[ref.shards[0].osd]
    opened = files.open(osd, Shard(ref.blob, 0, "replica:3", SIZE))
    assert files.turn()
    assert files.find(osd, ref.blob, 0) is opened  # which is a read
    assert files.turn()
    assert not files.turn()
    assert files.find(osd, ref.blob, 0) is None


async def test_a_disk_in_anothers_place_is_not_read_from_the_old_file(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    ref = await stored(pool)
    await pool.close()
    files, osd = OpenShards(), osds[ref.shards[0].osd]
    files.open(osd, Shard(ref.blob, 0, "replica:3", SIZE))
    other = next(each for number, each in osds.items() if number != osd.id)
    other.id = osd.id
    assert files.find(other, ref.blob, 0) is None


async def test_open_files_are_limited(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    refs = [await stored(pool) for _ in range(5)]
    await pool.close()
    files = OpenShards(limit=2)
    for ref in refs:
        files.open(osds[ref.shards[0].osd], Shard(ref.blob, 0, "replica:3", SIZE))
    there = [files.find(osds[ref.shards[0].osd], ref.blob, 0) is not None for ref in refs]
    assert [False, False] == there[:2]
    assert there[-1]
