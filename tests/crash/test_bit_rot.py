"""Bits that flip and files that shrink: always found, never served, and made good.

Exhaustive over small files, as every region of a format is in them: data, padding, table, trailer;
header, data. Damage of large ones: tests/unit/data/test_placed_damage.py.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from s3server.data.base import CorruptError, MissingError, UnavailableError
from s3server.data.codec import codec_from_name, shard_size
from s3server.data.layout import PAGE, RECORD_HEADER, VOLUME_HEADER, Shard
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.data.shardfiles import ShardFileReader
from s3server.model import DataRef
from tests.support.blobs import BytesSource, make_osds, make_pool, pattern

CODECS = ["replica:3", "ec:2+1"]
SIZE = 4_000  # a page less some padding


class Rotting:
    """One blob whose shard 0 is damaged, one way after the other."""

    def __init__(self, root: Path, codec: str, *, small_limit: int) -> None:
        self.osds = make_osds(root, codec_from_name(codec).total)
        self.pool = make_pool(self.osds, codec, small_limit=small_limit)
        self.data = pattern(SIZE)
        self.codec = codec

    async def write(self) -> DataRef:
        """Write the blob, and another behind it."""
        self.ref = await self.pool.write(BytesSource(self.data))
        await self.pool.write(BytesSource(pattern(SIZE, seed=2)))
        place = self.ref.shards[0]
        osd = self.osds[place.osd]
        self.path = (
            osd.volume_path(place.volume) if place.volume else osd.shard_path(self.ref.blob, 0)
        )
        self.content = Path(self.path).read_bytes()
        return self.ref

    def flips(self, positions: Iterator[tuple[int, int]]) -> Iterator[int]:
        """Flip one bit of the file after the other; yield its byte while it is flipped."""
        file = os.open(self.path, os.O_RDWR)
        try:
            for at, bit in positions:
                os.pwrite(file, bytes([self.content[at] ^ 1 << bit]), at)
                yield at
                os.pwrite(file, self.content[at : at + 1], at)
        finally:
            os.close(file)

    def lengths(self, lengths: Iterator[int]) -> Iterator[int]:
        """Cut the file to one length after the other."""
        for length in lengths:
            os.truncate(self.path, length)
            yield length
            Path(self.path).write_bytes(self.content)

    async def is_found_and_read_around(self) -> None:
        assert (await self.pool.check(self.ref)).shards[0] in ("corrupt", "missing")
        assert await self.pool.read(self.ref, 0, SIZE) == self.data

    async def is_healed(self) -> None:
        repaired = await self.pool.repair(self.ref)
        assert (await self.pool.check(repaired)).is_whole
        assert await self.pool.read(repaired, 0, SIZE) == self.data


@pytest.fixture(params=CODECS)
async def shard(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rotting]:
    """A blob in shard files."""
    rotting = Rotting(tmp_path, request.param, small_limit=0)
    await rotting.write()
    yield rotting
    await rotting.pool.close()


@pytest.fixture(params=CODECS)
async def record(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rotting]:
    """A blob in volumes."""
    rotting = Rotting(tmp_path, request.param, small_limit=65_536)
    await rotting.write()
    yield rotting
    await rotting.pool.close()


def verify(osd: DirectoryOsd, rotting: Rotting) -> None:
    code = codec_from_name(rotting.codec)
    size = shard_size(code, rotting.ref.size, rotting.ref.stripe)
    ShardFileReader(osd, Shard(rotting.ref.blob, 0, rotting.codec, size)).verify()


async def assert_flips_are_found(shard: Rotting, flips: Iterator[tuple[int, int]]) -> int:
    osd, count = shard.osds[shard.ref.shards[0].osd], 0
    verify(osd, shard)
    for at in shard.flips(flips):
        with pytest.raises(CorruptError):
            verify(osd, shard)
        if count % 199 == 0:
            await shard.is_found_and_read_around()
        count += 1
        assert at < len(shard.content)
    verify(osd, shard)
    return count


async def test_flip_in_any_byte_of_a_shard_file_is_found(shard: Rotting) -> None:
    flips = ((at, at % 8) for at in range(len(shard.content)))
    assert 3 * PAGE == await assert_flips_are_found(shard, flips)


@pytest.mark.slow
async def test_flip_of_any_bit_of_a_shard_file_is_found(shard: Rotting) -> None:
    flips = itertools.product(range(len(shard.content)), range(8))
    assert 3 * PAGE * 8 == await assert_flips_are_found(shard, flips)


@pytest.mark.parametrize(
    "step", [509, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
async def test_shard_file_of_any_other_length_is_found(shard: Rotting, step: int) -> None:
    whole = len(shard.content)
    lengths = itertools.chain(range(0, whole, step), [whole - 1, whole + 1, whole + PAGE])
    for _ in shard.lengths(lengths):
        with pytest.raises((CorruptError, MissingError)):
            verify(shard.osds[shard.ref.shards[0].osd], shard)
        await shard.is_found_and_read_around()


@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
async def test_flip_of_any_bit_of_a_record_is_found(record: Rotting, step: int) -> None:
    start = record.ref.shards[0].offset
    header = itertools.product(range(start, start + RECORD_HEADER), range(8))
    body = range(start + RECORD_HEADER, start + RECORD_HEADER + SIZE, step)
    for _ in record.flips(itertools.chain(header, itertools.product(body, range(8)))):
        await record.is_found_and_read_around()
    assert (await record.pool.check(record.ref)).is_whole


async def test_flip_of_any_bit_of_a_volume_header_is_found(record: Rotting) -> None:
    place = record.ref.shards[0]
    osd = record.osds[place.osd]
    assert 2 == len(list(osd.scan_volume(place.volume)))
    for _ in record.flips(itertools.product(range(VOLUME_HEADER), range(8))):
        with pytest.raises(CorruptError):
            list(osd.scan_volume(place.volume))


async def test_volume_cut_anywhere_in_a_record_loses_only_that_copy(record: Rotting) -> None:
    start = record.ref.shards[0].offset
    edges = [*range(start, start + RECORD_HEADER + 2), start + RECORD_HEADER + SIZE - 1]
    for _ in record.lengths(iter(edges)):
        await record.is_found_and_read_around()


_DATA_SPOTS = (0, 79, 2_000, SIZE, PAGE - 1)
_TABLE_SPOTS = (0, 3, 4, PAGE - 5, PAGE - 1)
_TRAILER_SPOTS = (0, 8, 12, 28, 32, 40, 44, 76, 500, PAGE - 1)
SHARD_SPOTS = [
    page * PAGE + at
    for page, spots in enumerate((_DATA_SPOTS, _TABLE_SPOTS, _TRAILER_SPOTS))
    for at in spots
]


@pytest.mark.parametrize("at", SHARD_SPOTS)
async def test_damage_in_every_part_of_a_shard_file_is_healed(shard: Rotting, at: int) -> None:
    for _ in range(2):  # what was healed rots like what was written
        with open(shard.path, "r+b") as file:
            file.seek(at)
            file.write(bytes([shard.content[at] ^ 8]))
        await shard.is_found_and_read_around()
        await shard.is_healed()
        assert Path(shard.path).read_bytes() == shard.content


async def test_damage_in_every_part_of_a_record_is_healed(record: Rotting) -> None:
    start = record.ref.shards[0].offset
    for _ in record.flips((start + at, 5) for at in (0, 4, 20, 24, 28, 31, 32, 2_000, SIZE + 31)):
        await record.is_healed()


async def swapped(one: PlacedPool, paths: tuple[str, str], refs: list[DataRef]) -> set[str]:
    """Exchange two files, and return what check() then says of their shards."""
    os.rename(paths[0], paths[0] + ".x")
    os.rename(paths[1], paths[0])
    os.rename(paths[0] + ".x", paths[1])
    return {state for ref in refs for state in (await one.check(ref)).shards}


async def test_shards_that_changed_places_are_no_shards(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "ec:2+1", small_limit=0)
    refs = [await pool.write(BytesSource(pattern(SIZE, seed))) for seed in (1, 2)]
    mine = [osds[index].shard_path(refs[0].blob, index) for index in range(3)]
    other = osds[0].shard_path(refs[1].blob, 0)
    assert {"ok"} == {state for ref in refs for state in (await pool.check(ref)).shards}
    # of another blob: each can still be read from the two others
    assert {"ok", "corrupt"} == await swapped(pool, (mine[0], other), refs)
    for seed, ref in enumerate(refs, start=1):
        assert pattern(SIZE, seed) == await pool.read(ref, 0, SIZE)
    assert {"ok"} == await swapped(pool, (mine[0], other), refs)
    # of the same blob: two are not what they should be
    assert {"ok", "corrupt"} == await swapped(pool, (mine[0], mine[1]), refs[:1])
    another = make_pool(osds, "ec:2+1", small_limit=0)  # that has no file open yet
    with pytest.raises(UnavailableError):
        await another.read(refs[0], 0, SIZE)
    await pool.close()
    await another.close()
