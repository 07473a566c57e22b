"""OSDs that are lost, in every combination that the pool tolerates: all bytes stay, and heal.

The subsets are those of hardening.md, G6: 21 of 6 OSDs with 3 copies, 36 of 8 with 4+2, 298 of 12
with 8+3. A lost OSD is replaced by an empty one, so each round begins where the last one ended.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from placement.choose import erasure, replicated
from placement.cluster_map import EMPTY, ONE, Device
from placement.placer import Placer
from s3server.data.base import UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.vfs import Vfs
from s3server.model import DataRef
from tests.support.blobs import CLUSTER, BytesSource, collect, numbered_ids, pattern
from tests.support.crash_image import memory_directory

MIB = 1 << 20
SIZES = [1, 4_096, 65_536, 65_537, 300_000, MIB, MIB + 1, 3 * MIB + 5]
LAYOUTS = {"replica:3": 6, "ec:4+2": 8, "ec:8+3": 12}
PARTS = {"replica:3": 1, "ec:4+2": 1, "ec:8+3": 6}  # of the long tests
EXPECTED = {"replica:3": 21, "ec:4+2": 36, "ec:8+3": 298}


root = pytest.fixture(memory_directory)


class Cluster:
    """OSDs under a placement rule, of which some may be lost."""

    def __init__(self, root: Path, codec: str, vfs: Mapping[int, Vfs] | None = None) -> None:
        self._root, self.codec, self._code = root, codec, codec_from_name(codec)
        self._made = itertools.count()
        self._vfs = vfs or {}
        self.count = LAYOUTS[codec]
        self.osds = {osd: self._new_osd(osd) for osd in range(self.count)}
        self.blobs: list[tuple[DataRef, bytes]] = []
        self._seeds = itertools.count(1)

    @property
    def tolerated(self) -> int:
        return self._code.total - self._code.needed

    def _new_osd(self, osd: int) -> DirectoryOsd:
        path = str(self._root / f"disk{next(self._made)}")
        return DirectoryOsd.initialise(path, cluster=CLUSTER, osd=osd, vfs=self._vfs.get(osd))

    def pool(self, lost: Sequence[int] = ()) -> PlacedPool:
        """Return the pool as a process sees it that started without some OSDs."""
        tree = EMPTY
        for osd in range(self.count):
            tree = tree.with_device(Device(osd, ONE), {})
        rule = (replicated if self._code.needed == 1 else erasure)(self._code.total, "osd")
        osds = OsdSet({osd: each for osd, each in self.osds.items() if osd not in lost})
        ids = numbered_ids(next(self._seeds))
        return PlacedPool("main", self._code, osds, Placer(tree, rule, 64).devices, ids)

    async def write(self, pool: PlacedPool, sizes: Sequence[int]) -> None:
        """Write blobs that are to be kept."""
        for size in sizes:
            data = pattern(size, seed=len(self.blobs))
            self.blobs.append((await pool.write(BytesSource(data)), data))

    async def is_readable(self, pool: PlacedPool) -> None:
        """See that every blob can be read, whole and in part."""
        for ref, data in self.blobs:
            assert data == await collect(pool, ref)
            start = len(data) // 3
            assert data[start:] == await pool.read(ref, start, ref.size)

    async def replace(self, lost: Sequence[int]) -> None:
        """Put empty OSDs in the place of lost ones, and heal all blobs."""
        self.osds |= {osd: self._new_osd(osd) for osd in lost}
        pool = self.pool()
        healed = [(await pool.repair(ref), data) for ref, data in self.blobs]
        self.blobs = healed
        for ref, _ in healed:
            assert (await pool.check(ref)).is_whole
        await self.is_readable(pool)
        await pool.close()


def subsets(codec: str) -> list[tuple[int, ...]]:
    """Return every set of OSDs whose loss the pool tolerates, no more than two as in G6."""
    return [
        lost
        for count in range(1, min(codec_from_name(codec).total - 1, 3) + 1)
        for lost in itertools.combinations(range(LAYOUTS[codec]), count)
        if count <= codec_from_name(codec).total - codec_from_name(codec).needed
    ]


EVERY = [(codec, part) for codec, parts in PARTS.items() for part in range(parts)]


def some(codec: str, part: int) -> list[tuple[int, ...]]:
    return subsets(codec)[part :: PARTS[codec]]


def chosen(codec: str, count: int) -> list[tuple[int, ...]]:
    return random.Random(count).sample(subsets(codec), count)


def test_there_are_as_many_subsets_as_promised() -> None:
    assert EXPECTED == {codec: len(subsets(codec)) for codec in LAYOUTS}


async def lose_and_heal(
    root: Path, codec: str, losses: Sequence[tuple[int, ...]], sizes: Sequence[int]
) -> None:
    cluster = Cluster(root, codec)
    pool = cluster.pool()
    await cluster.write(pool, sizes)
    await pool.close()
    for lost in losses:
        pool = cluster.pool(lost)
        await cluster.is_readable(pool)
        await cluster.write(pool, sizes[:2] + sizes[-1:])
        await pool.close()
        await cluster.replace(lost)
        del cluster.blobs[len(sizes) :]  # they are healed


@pytest.mark.parametrize("codec", LAYOUTS)
async def test_some_losses_up_to_the_tolerance(root: Path, codec: str) -> None:
    await lose_and_heal(root, codec, chosen(codec, 3), SIZES)


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "part"), EVERY)
async def test_every_loss_up_to_the_tolerance(root: Path, codec: str, part: int) -> None:
    await lose_and_heal(root, codec, some(codec, part), SIZES * 5)
    print(f"{codec}: {len(some(codec, part))} sets of lost OSDs")


@pytest.mark.parametrize("codec", LAYOUTS)
async def test_loss_of_one_more_is_told_and_no_wrong_byte_is_served(root: Path, codec: str) -> None:
    cluster = Cluster(root, codec)
    pool = cluster.pool()
    await cluster.write(pool, SIZES)
    await pool.close()
    refused = 0
    everyone = list(itertools.combinations(range(cluster.count), cluster.tolerated + 1))
    for lost in random.Random(codec).sample(everyone, 3):
        pool = cluster.pool(lost)
        for ref, data in cluster.blobs:
            left = sum(place.osd not in lost for place in ref.shards)
            needed = codec_from_name(ref.codec).needed
            if left >= needed:
                assert data == await collect(pool, ref)
            else:
                refused += 1
                with pytest.raises(UnavailableError):
                    await collect(pool, ref)
        await pool.close()
    assert refused
    pool = cluster.pool()
    await cluster.is_readable(pool)
    await pool.close()


class DyingVfs(Vfs):
    """Every call fails, from some moment on."""

    is_dead = False

    def __getattribute__(self, name: str) -> Any:
        if name != "is_dead" and not name.startswith("_") and name != "close" and self.is_dead:
            return _fail
        return super().__getattribute__(name)


def _fail(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


async def lose_while_writing(root: Path, codec: str, lost: Sequence[int], seed: int) -> None:
    """Let OSDs die under writers and readers, who do not notice; then replace and heal."""
    disks = {osd: DyingVfs() for osd in range(LAYOUTS[codec])}
    cluster, chance = Cluster(root, codec, disks), random.Random(seed)
    pool = cluster.pool()
    await cluster.write(pool, SIZES)
    dying = iter(lost)

    async def write() -> None:
        for _ in range(6):
            size = chance.choice(SIZES)
            data = pattern(size, seed=chance.randrange(1 << 30))

            async def die() -> None:
                if chance.random() < 0.15 and (osd := next(dying, None)) is not None:
                    disks[osd].is_dead = True

            while True:
                try:
                    ref = await pool.write(BytesSource(data, before_each=die))
                except UnavailableError:  # more shards were lost on the way than it can spare
                    continue
                break
            cluster.blobs.append((ref, data))

    async def read() -> None:
        for _ in range(3):
            for ref, data in list(cluster.blobs):
                assert data == await collect(pool, ref)

    async with asyncio.TaskGroup() as group:
        for job in (write, write, write, read, read):
            group.create_task(job())
    for osd in dying:
        disks[osd].is_dead = True
    await cluster.is_readable(pool)
    await pool.close()
    for osd in lost:
        disks[osd].is_dead = False
    await cluster.replace(lost)


async def test_shards_lost_on_the_way_are_no_want_of_space(root: Path) -> None:
    """Two of six are lost once they have bytes: the upload fails, and the next one is whole."""
    disks = {osd: DyingVfs() for osd in range(LAYOUTS["ec:4+2"])}
    cluster, calls = Cluster(root, "ec:4+2", disks), itertools.count(1)
    pool, data = cluster.pool(), pattern(4 * MIB)

    async def die() -> None:
        if next(calls) == 3:
            written = [osd for osd in disks if os.listdir(f"{cluster.osds[osd].path}/incoming")]
            for osd in written[:2]:
                disks[osd].is_dead = True

    with pytest.raises(UnavailableError):
        await pool.write(BytesSource(data, before_each=die))
    ref = await pool.write(BytesSource(data))
    assert () == ref.absent
    assert data == await collect(pool, ref)
    await pool.close()


@pytest.mark.parametrize("codec", LAYOUTS)
async def test_osds_that_die_while_others_write_and_read(root: Path, codec: str) -> None:
    for seed, lost in enumerate(chosen(codec, 3)):
        each = root / str(seed)
        each.mkdir()
        await lose_while_writing(each, codec, lost, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "part"), EVERY)
async def test_every_subset_of_osds_dies_while_others_write_and_read(
    root: Path, codec: str, part: int
) -> None:
    for number, lost in enumerate(some(codec, part)):
        each = root / str(number)
        each.mkdir()
        await lose_while_writing(each, codec, lost, seed=number * PARTS[codec] + part)
        shutil.rmtree(each)
    print(f"{codec}: {len(some(codec, part))} sets of dying OSDs")
