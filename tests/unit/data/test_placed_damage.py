"""Lost OSDs and damaged files: the right bytes or UnavailableError, never wrong ones."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from s3server.data.base import UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.layout import BLOCK, PAGE, RECORD_HEADER, Shard, block_checksums, trailer
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.data.vfs import Vfs
from s3server.model import DataRef
from tests.support.blobs import CLUSTER, BytesSource, collect, make_osds, make_pool, pattern

MIB = 1 << 20
CODECS = ["replica:3", "ec:2+1", "ec:4+2"]
SIZES = [5000, 200_000, MIB + 70_000]


def osds_of(root: Path, codec: str) -> dict[int, DirectoryOsd]:
    return make_osds(root, codec_from_name(codec).total)


def shard_path(osds: dict[int, DirectoryOsd], ref: DataRef, index: int) -> Path:
    return Path(osds[ref.shards[index].osd].shard_path(ref.blob, index))


class DeadVfs(Vfs):
    """Nothing can be said of a file that is open, from some moment on."""

    is_dead = False

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._live()
        return super().pread(fd, size, offset)

    def pread_cached(self, fd: int, buffer: bytearray, offset: int) -> int:
        self._live()
        return super().pread_cached(fd, buffer, offset)

    def stat(self, fd: int) -> os.stat_result:
        self._live()
        return super().stat(fd)

    def _live(self) -> None:
        if self.is_dead:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


async def test_volumes_of_an_osd_that_died_are_no_reason_not_to_open_others(tmp_path: Path) -> None:
    osds, vfs = make_osds(tmp_path, 3), DeadVfs()
    first = DirectoryOsd.open(osds[0].path, cluster=CLUSTER, osd=0, vfs=vfs)
    pool = make_pool({**osds, 0: first}, "replica:3")
    ref = await pool.write(BytesSource(pattern(5_000)))
    assert pattern(5_000) == await pool.read(ref, 0, 5_000)  # it is open now
    vfs.is_dead = True
    assert pattern(5_000) == await pool.read(ref, 0, 5_000)
    await pool.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_any_osds_up_to_the_tolerance_may_be_lost(tmp_path: Path, codec: str) -> None:
    osds = osds_of(tmp_path, codec)
    pool = make_pool(osds, codec)
    blobs = {size: pattern(size) for size in SIZES}
    refs = {size: await pool.write(BytesSource(data)) for size, data in blobs.items()}
    await pool.close()
    code = codec_from_name(codec)
    tolerated = code.total - code.needed
    for count in range(tolerated + 2):
        for lost in itertools.combinations(osds, count):
            left = {osd: each for osd, each in osds.items() if osd not in lost}
            pool = make_pool(left, codec)
            for size, ref in refs.items():
                holders = {place.osd for place in ref.shards} - set(lost)
                if len(holders) >= (code.needed if ref.stripe else 1):
                    assert await pool.read(ref, 0, size) == blobs[size]
                    assert await collect(pool, ref) == blobs[size]
                    assert await pool.read(ref, size - 3, size) == blobs[size][-3:]
                else:
                    with pytest.raises(UnavailableError):
                        await pool.read(ref, 0, size)
                    with pytest.raises(UnavailableError):
                        await collect(pool, ref)
            await pool.close()


def flip(offset: int) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        at = offset % len(content)
        return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte": flip(0),
    "pyeclib's header": flip(50),
    "data": flip(40_000),
    "last block": flip(-3 * PAGE),
    "padding": flip(-2 * PAGE - 1),
    "table": flip(-2 * PAGE + 1),
    "padding of the table": flip(-PAGE - 100),
    "seal of the table": flip(-PAGE - 1),
    "magic of the trailer": flip(-PAGE),
    "blob id of the trailer": flip(-PAGE + 13),
    "padding of the trailer": flip(-100),
    "checksum of the trailer": flip(-1),
    "truncated by a byte": lambda content: content[:-1],
    "truncated to nothing": lambda content: b"",
    "truncated to half": lambda content: content[: len(content) // 2],
    "extended": lambda content: content + bytes(PAGE),
    "a zeroed page": lambda content: content[:PAGE] + bytes(PAGE) + content[2 * PAGE :],
    "pages swapped": lambda content: (
        content[PAGE : 2 * PAGE] + content[:PAGE] + content[2 * PAGE :]
    ),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("what", DAMAGES)
async def test_damage_of_a_shard_file_is_found_and_read_around(
    tmp_path: Path, codec: str, what: str
) -> None:
    osds = osds_of(tmp_path, codec)
    found: list[tuple[int, str]] = []
    pool = make_pool(
        osds, codec, on_damage=lambda ref, index, reason: found.append((index, reason))
    )
    data = pattern(MIB + 70_000)
    ref = await pool.write(BytesSource(data))
    path = shard_path(osds, ref, 0)
    path.write_bytes(DAMAGES[what](path.read_bytes()))
    health = await pool.check(ref)
    assert health.shards == ("corrupt",) + ("ok",) * (len(ref.shards) - 1)
    assert health.is_readable
    assert await pool.read(ref, 0, ref.size) == data
    assert await collect(pool, ref) == data
    assert set(found) <= {(0, "corrupt")}
    await pool.close()


@pytest.mark.parametrize("codec", ["replica:3", "ec:4+2"])
async def test_every_damaged_byte_of_a_shard_file_is_found(tmp_path: Path, codec: str) -> None:
    osds = osds_of(tmp_path, codec)
    pool = make_pool(osds, codec, small_limit=100)
    ref = await pool.write(BytesSource(pattern(3000)))
    path = shard_path(osds, ref, 1)
    whole = path.read_bytes()
    missed = []
    for offset in range(0, len(whole), 37):
        path.write_bytes(flip(offset)(whole))
        if (await pool.check(ref)).shards[1] != "corrupt":
            missed.append(offset)
    assert missed == []
    await pool.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_more_damage_than_tolerated_is_an_error(tmp_path: Path, codec: str) -> None:
    osds = osds_of(tmp_path, codec)
    pool = make_pool(osds, codec)
    ref = await pool.write(BytesSource(pattern(200_000)))
    code = codec_from_name(codec)
    for index in range(code.total - code.needed + 1):
        path = shard_path(osds, ref, index)
        path.write_bytes(flip(100)(path.read_bytes()))
    with pytest.raises(UnavailableError):
        await pool.read(ref, 0, ref.size)
    with pytest.raises(UnavailableError):
        await collect(pool, ref)
    assert not (await pool.check(ref)).is_readable
    await pool.close()


async def test_copies_that_are_all_damaged_elsewhere_still_give_the_blob(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    data = pattern(MIB)
    ref = await pool.write(BytesSource(data))
    for index in range(3):
        path = shard_path(osds, ref, index)
        path.write_bytes(flip(index * 3 * BLOCK + 5)(path.read_bytes()))
    assert (await pool.check(ref)).shards == ("corrupt",) * 3
    assert await pool.read(ref, 0, ref.size) == data
    assert await pool.read(ref, 1000, MIB - 1000) == data[1000:-1000]
    await pool.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_swapped_shard_files_are_found(tmp_path: Path, codec: str) -> None:
    """Each file is whole in itself: only the identity in its trailer tells."""
    osds = osds_of(tmp_path, codec)
    pool = make_pool(osds, codec)
    blobs = [pattern(200_000, seed=seed) for seed in (1, 2)]
    refs = [await pool.write(BytesSource(data)) for data in blobs]
    one, other = (shard_path(osds, ref, 0) for ref in refs)
    first, second = one.read_bytes(), other.read_bytes()
    assert len(first) == len(second)
    one.write_bytes(second)
    other.write_bytes(first)
    for ref, data in zip(refs, blobs, strict=True):
        assert (await pool.check(ref)).shards[0] == "corrupt"
        assert await pool.read(ref, 0, ref.size) == data
    await pool.close()


async def test_shards_of_one_blob_swapped_are_found(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 6)
    pool = make_pool(osds, "ec:4+2")
    data = pattern(200_000)
    ref = await pool.write(BytesSource(data))
    one, other = shard_path(osds, ref, 1), shard_path(osds, ref, 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert (await pool.check(ref)).shards == ("ok", "corrupt", "corrupt", "ok", "ok", "ok")
    assert await pool.read(ref, 0, ref.size) == data
    await pool.close()


async def test_foreign_data_under_right_checksums_is_found(tmp_path: Path) -> None:
    """A file of other data, made with its own right checksums and our trailer: the table tells."""
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    data, foreign = pattern(200_000), pattern(200_000, seed=9)
    ref = await pool.write(BytesSource(data))
    other = await pool.write(BytesSource(foreign))
    path = shard_path(osds, ref, 0)
    shard = Shard(ref.blob, 0, ref.codec, ref.size)
    content = shard_path(osds, other, 0).read_bytes()
    assert len(block_checksums(memoryview(content)[: shard.padded])) == 4
    path.write_bytes(content[:-PAGE] + trailer(shard))
    assert (await pool.check(ref)).shards == ("corrupt", "ok", "ok")
    assert await pool.read(ref, 0, ref.size) == data
    await pool.close()


async def small_and_volume(pool: PlacedPool, osds: dict[int, DirectoryOsd]) -> tuple[DataRef, Path]:
    ref = await pool.write(BytesSource(pattern(5000)))
    return ref, Path(osds[0].volume_path(ref.shards[0].volume))


@pytest.mark.parametrize("region", ["magic", "blob", "size", "sum", "header sum", "data", "end"])
@pytest.mark.parametrize("is_cached", [True, False])
async def test_damage_of_a_volume_is_found_and_read_around(
    tmp_path: Path, region: str, is_cached: bool
) -> None:
    osds = make_osds(tmp_path, 3)
    found: list[tuple[int, str]] = []
    pool = make_pool(
        osds, "replica:3", on_damage=lambda ref, index, reason: found.append((index, reason))
    )
    ref, path = await small_and_volume(pool, osds)
    if is_cached:
        await pool.check(ref)
    within = {"magic": 0, "blob": 9, "size": 21, "sum": 25, "header sum": 31, "data": 2000}
    offset = ref.shards[0].offset + within.get(region, RECORD_HEADER + 4999)
    path.write_bytes(flip(offset)(path.read_bytes()))
    assert await pool.read(ref, 0, 5000) == pattern(5000)
    assert set(found) == {(0, "corrupt")}
    assert (await pool.check(ref)).shards == ("corrupt", "ok", "ok")
    await pool.close()


async def test_record_of_another_blob_is_not_taken_for_ours(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 1)
    pool = make_pool(osds, "replica:1")
    refs = [await pool.write(BytesSource(pattern(700, seed=seed))) for seed in (1, 2)]
    misdirected = DataRef(*(getattr(refs[0], field) for field in DataRef.__struct_fields__[:5]),
                          refs[1].shards, refs[1].crc32c)  # fmt: skip
    with pytest.raises(UnavailableError):
        await pool.read(misdirected, 0, 700)
    await pool.close()


async def test_truncated_and_missing_volumes(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    ref, path = await small_and_volume(pool, osds)
    os.truncate(path, ref.shards[0].offset + RECORD_HEADER + ref.size - 1)
    Path(osds[1].volume_path(ref.shards[1].volume)).unlink()
    assert (await pool.check(ref)).shards == ("corrupt", "missing", "ok")
    assert await pool.read(ref, 0, 5000) == pattern(5000)
    await pool.close()
