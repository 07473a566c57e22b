"""Repair: a blob that can be read is whole again where it should lie, its bytes verified."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from s3server.data.base import DataError, UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.layout import BLOCK
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.repair import shards_to_write
from s3server.data.vfs import Vfs
from s3server.model import ABSENT, DataRef, ShardPlace
from tests.support.blobs import BytesSource, collect, files_of, make_osds, make_pool, pattern

MIB = 1 << 20
CODECS = ["replica:3", "ec:2+1", "ec:4+2"]
SIZES = [5000, 200_000, MIB + 70_000, 5 * MIB + 1]


def shard_path(osds: dict[int, DirectoryOsd], ref: DataRef, index: int) -> Path:
    place = ref.shards[index]
    osd = osds[place.osd]
    if place.volume:
        return Path(osd.volume_path(place.volume))
    return Path(osd.shard_path(ref.blob, index))


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x40
    path.write_bytes(content)


async def assert_whole(pool: PlacedPool, ref: DataRef, data: bytes) -> None:
    assert (await pool.check(ref)).is_whole
    assert (await pool.check(ref, deep=False)).is_whole
    assert await pool.read(ref, 0, ref.size) == data
    assert await collect(pool, ref) == data


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", SIZES)
async def test_any_tolerated_loss_of_osds_is_made_good_on_others(
    tmp_path: Path, codec: str, size: int
) -> None:
    code = codec_from_name(codec)
    tolerated = code.total - code.needed
    osds = make_osds(tmp_path, code.total + tolerated)
    data = pattern(size)
    pool = make_pool(osds, codec)
    ref = await pool.write(BytesSource(data))
    await pool.close()
    for lost in itertools.combinations(range(len(ref.shards)), tolerated):
        spare = iter(range(code.total, code.total + tolerated))
        targets = [next(spare) if osd in lost else osd for osd in range(code.total)]
        left = {osd: each for osd, each in osds.items() if osd not in lost}
        pool = make_pool(left, codec, on=targets)
        assert pool.standing(ref).lost == lost
        repaired = await pool.repair(ref)
        assert {place.osd for place in repaired.shards} <= set(targets)
        kept = [index for index in range(len(ref.shards)) if index not in lost]
        assert [repaired.shards[index] for index in kept] == [ref.shards[index] for index in kept]
        await assert_whole(pool, repaired, data)
        await pool.close()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", SIZES)
async def test_damaged_shards_are_replaced_where_they_lie(
    tmp_path: Path, codec: str, size: int
) -> None:
    code = codec_from_name(codec)
    osds = make_osds(tmp_path, code.total)
    pool = make_pool(osds, codec)
    data = pattern(size)
    ref = await pool.write(BytesSource(data))
    flip(shard_path(osds, ref, 0), 2000)
    if code.total - code.needed > 1:
        shard_path(osds, ref, 1).unlink()
    await pool.close()
    pool = make_pool(osds, codec, seed=2)
    repaired = await pool.repair(ref)
    assert [place.osd for place in repaired.shards] == [place.osd for place in ref.shards]
    await assert_whole(pool, repaired, data)
    assert await pool.repair(repaired) == repaired
    await pool.close()


async def test_copies_damaged_each_elsewhere_are_put_together(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    data = pattern(MIB)
    ref = await pool.write(BytesSource(data))
    for index in range(3):
        flip(shard_path(osds, ref, index), index * 3 * BLOCK + 5)
    await assert_whole(pool, await pool.repair(ref), data)
    await pool.close()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [5000, MIB + 70_000])
async def test_too_much_damage_is_refused_and_nothing_is_changed(
    tmp_path: Path, codec: str, size: int
) -> None:
    code = codec_from_name(codec)
    osds = make_osds(tmp_path, code.total)
    pool = make_pool(osds, codec)
    ref = await pool.write(BytesSource(pattern(size)))
    for index in range(len(ref.shards) if not ref.stripe else code.total - code.needed + 1):
        flip(shard_path(osds, ref, index), 2000)
    before = {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)}
    with pytest.raises(UnavailableError):
        await pool.repair(ref)
    assert before == {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)}
    await pool.close()


@pytest.mark.parametrize("size", [5000, MIB])
async def test_shard_that_was_never_written_is_written(tmp_path: Path, size: int) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    ref = await pool.write(BytesSource(pattern(size)))
    degraded = structs.replace(ref, shards=(ref.shards[0], ShardPlace(ABSENT), ref.shards[2]))
    assert pool.standing(degraded).lost == (1,)
    repaired = await pool.repair(degraded)
    assert [place.osd for place in repaired.shards] == [0, 1, 2]
    await assert_whole(pool, repaired, pattern(size))
    await pool.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_shards_move_to_where_the_map_puts_them(tmp_path: Path, codec: str) -> None:
    code = codec_from_name(codec)
    osds = make_osds(tmp_path, code.total + 1)
    pool = make_pool(osds, codec)
    data = pattern(MIB + 70_000)
    ref = await pool.write(BytesSource(data))
    await pool.close()
    pool = make_pool(osds, codec, on=[code.total, *range(1, code.total)])
    assert pool.standing(ref).astray == (0,)
    moved = await pool.repair(ref, deep=False)
    assert moved.shards == (ShardPlace(code.total), *ref.shards[1:])
    await assert_whole(pool, moved, data)
    await assert_whole(pool, ref, data)  # the old one stays until its row is changed
    await pool.close()


class FailsAt(Vfs):
    """Refuses the n-th call that changes something on the disk."""

    def __init__(self, call: int) -> None:
        self.left = call

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.EIO, "injected")

    def create(self, path: str, *, direct: bool = False) -> int:
        self._count()
        return super().create(path, direct=direct)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        self._count()
        return super().pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        self._count()
        super().fdatasync(fd)

    def fsync(self, fd: int) -> None:
        self._count()
        super().fsync(fd)

    def rename(self, source: str, target: str) -> None:
        self._count()
        super().rename(source, target)


async def test_repair_that_fails_anywhere_harms_nothing_and_can_be_repeated(
    tmp_path: Path,
) -> None:
    data = pattern(MIB)
    osds = make_osds(tmp_path, 3)
    osd_set = OsdSet(osds)
    pool = make_pool(osd_set, "replica:3")
    for call in range(1, 30):
        ref = await pool.write(BytesSource(data))
        for index in range(3):  # only together do they hold all bytes
            flip(shard_path(osds, ref, index), index * 3 * BLOCK + 5)
        vfs = FailsAt(call)
        for osd in osds.values():
            osd.vfs = vfs
        try:
            await pool.repair(ref)
        except DataError:
            vfs.left = -1
            assert await pool.read(ref, 0, MIB) == data
            assert not [name for name in files_of(tmp_path) if "incoming" in name]
            for osd in osd_set.down:
                osd_set.mark_up(osd)
        else:
            break
        await assert_whole(pool, await pool.repair(ref), data)
    assert 12 < call < 29
    await pool.close()


async def test_old_file_that_was_replaced_meanwhile_is_not_removed(tmp_path: Path) -> None:
    """A sweep that took the file for a leftover must not take the new one, under the same name."""
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    ref = await pool.write(BytesSource(pattern(MIB)))
    path = shard_path(osds, ref, 0)
    seen_s = path.stat().st_mtime + 0.001
    flip(path, 5)
    await pool.repair(ref)
    assert path.stat().st_mtime > seen_s
    assert not osds[0].remove_old_shard(ref.blob, 0, until_s=seen_s)
    assert (await pool.check(ref)).is_whole
    later_s = path.stat().st_mtime + 1
    assert osds[0].remove_old_shard(ref.blob, 0, until_s=later_s)
    assert not osds[0].remove_old_shard(ref.blob, 0, until_s=later_s)
    await pool.close()


def places(*osds: int) -> list[ShardPlace]:
    return [ShardPlace(osd) for osd in osds]


COPIES: list[tuple[list[int], list[bool], list[int], dict[int, int]]] = [
    # shards lie on, are whole, should lie on -> what is written where
    ([0, 1, 2], [True] * 3, [2, 0, 1], {}),  # copies may change places
    ([0, 1, 2], [True, False, True], [0, 1, 2], {1: 1}),
    ([0, 1, 2], [True, False, True], [2, 0, 5], {1: 5}),
    ([0, 1, 2], [True, True, True], [2, 0, 5], {1: 5}),
    ([0, 1, 2], [True, True, False], [5, 6, 0], {2: 5, 1: 6}),  # the lost one first
    ([0, 1, ABSENT], [True, True, False], [0, 1, ABSENT], {}),
    ([0, 1, ABSENT], [True, True, False], [0, 1], {}),
    ([0, 1, ABSENT], [True, True, False], [1, 7, ABSENT], {2: 7}),
]


@pytest.mark.parametrize(("lie_on", "whole", "targets", "due"), COPIES)
def test_which_copies_are_written_where(
    lie_on: list[int], whole: list[bool], targets: list[int], due: dict[int, int]
) -> None:
    assert shards_to_write(places(*lie_on), whole, targets, are_copies=True) == due


CODES: list[tuple[list[int], list[bool], list[int], dict[int, int]]] = [
    ([0, 1, 2], [True] * 3, [0, 1, 2], {}),
    ([0, 1, 2], [True] * 3, [1, 0, 2], {0: 1, 1: 0}),
    ([0, 1, 2], [True, False, True], [0, 1, 2], {1: 1}),
    ([0, 1, 2], [True, False, True], [0, ABSENT, 2], {}),
    ([0, 1, 2], [True, False, True], [ABSENT, 0, 2], {}),  # not two shards on one OSD
    ([0, 1, 2], [True, False, True], [3, 0, 2], {0: 3, 1: 0}),
]


@pytest.mark.parametrize(("lie_on", "whole", "targets", "due"), CODES)
def test_which_shards_of_a_code_are_written_where(
    lie_on: list[int], whole: list[bool], targets: list[int], due: dict[int, int]
) -> None:
    assert shards_to_write(places(*lie_on), whole, targets, are_copies=False) == due


def test_no_osd_is_given_a_second_copy_where_a_target_is_missing() -> None:
    """A damaged copy is replaced where it lies, though another one could be put there."""
    shards = [ShardPlace(0), ShardPlace(1), ShardPlace(2)]
    due = shards_to_write(shards, [False] * 3, [0, ABSENT, 2], are_copies=True)
    assert {0: 0, 2: 2} == due
