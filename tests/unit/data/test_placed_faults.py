"""Writes that fail: an error to the caller, no file left, and the next write is whole."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from s3server.data.base import DataError, FullError, UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.layout import RECORD_HEADER, VOLUME_HEADER
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.vfs import Vfs
from s3server.model import ABSENT, DataRef
from tests.support.blobs import (
    CLUSTER,
    BytesSource,
    collect,
    files_of,
    in_turn,
    make_osds,
    make_pool,
    numbered_ids,
    pattern,
)
from tests.support.failing_vfs import FAULTS, FailingVfs, NoDirectVfs

LARGE = 1_200_000
SMALL_CALLS = {"create": 3, "append_durably": 6, "fsync": 3, "rename": 3}
NO_SPACE = (errno.ENOSPC, None)


async def attempt(pool: PlacedPool, size: int) -> type[DataError] | None:
    """Write a blob and return the kind of error that it ended with."""
    try:
        await pool.write(BytesSource(pattern(size)))
    except DataError as error:
        return type(error)
    return None


class Site:
    """OSDs on which one call fails, and what a write made of it."""

    def __init__(self, root: Path, codec: str, count: int) -> None:
        self.root, self.codec, self.count = root, codec, count
        self.vfs = FailingVfs()
        self.osds = OsdSet({})
        self.took_place = False
        self._directories = make_osds(root, count, self.vfs)
        self._seeds = itertools.count(1)

    async def write(self, size: int, method: str, at: int, code: int | None) -> DataRef | DataError:
        """Write a blob; whatever comes of it, nothing is left of it in the end but volumes."""
        self.osds = OsdSet(self._directories)
        pool = make_pool(self.osds, self.codec, on=range(self.count), seed=next(self._seeds))
        self.vfs.fail(method, at, code)
        try:
            ref = await pool.write(BytesSource(pattern(size)))
        except DataError as error:
            self.took_place = True
            assert [] == self.files()
            return error
        else:
            self.took_place = self.vfs.calls[method] >= at
            self.vfs.heal()
            assert pattern(size) == await pool.read(ref, 0, size)
            states = (await pool.check(ref)).shards
            assert ref.absent == tuple(i for i, state in enumerate(states) if state != "ok")
            written = len(ref.shards) - len(ref.absent) if ref.stripe else 0
            assert ["shards"] * written == [name.split("/")[1] for name in self.files()]
            await pool.delete(ref)
            return ref
        finally:
            await pool.close()

    def files(self) -> list[str]:
        return [name for name in files_of(self.root) if "volumes" not in name]


@pytest.mark.parametrize(("method", "code"), FAULTS)
@pytest.mark.parametrize("size", [LARGE, 5000])
async def test_fault_at_any_call_costs_one_of_three_copies(
    tmp_path: Path, size: int, method: str, code: int | None
) -> None:
    site = Site(tmp_path, "replica:3", 3)
    for at in itertools.count(1):
        ref = await site.write(size, method, at, code)
        assert isinstance(ref, DataRef)
        if not site.took_place:
            break
        assert 1 == len(ref.absent)
        assert site.osds.avoid == {0, 1, 2} - {place.osd for place in ref.shards}
        assert site.osds.full == (site.osds.avoid if code in NO_SPACE else frozenset())
    assert ref.absent == ()
    assert (at > 3) == (method in SMALL_CALLS if size == 5000 else method != "append_durably")


@pytest.mark.parametrize(("method", "code"), [f for f in FAULTS if f[0] != "append_durably"])
async def test_fault_where_no_shard_can_be_spared_is_an_error(
    tmp_path: Path, method: str, code: int | None
) -> None:
    site = Site(tmp_path, "ec:2+1", 3)
    for at in itertools.count(1):
        error = await site.write(LARGE, method, at, code)
        if not site.took_place:
            break
        assert type(error) is (FullError if code in NO_SPACE else UnavailableError)
        assert 1 == len(site.osds.avoid)
    assert at > 3


@pytest.mark.parametrize(("method", "code"), [f for f in FAULTS if f[1] != errno.EROFS])
@pytest.mark.parametrize(("codec", "size"), [("replica:3", LARGE), ("ec:2+1", LARGE),
                                             ("ec:2+1", 5000)])  # fmt: skip
async def test_shard_that_took_no_byte_yet_goes_to_another_osd(
    tmp_path: Path, codec: str, size: int, method: str, code: int | None
) -> None:
    site = Site(tmp_path, codec, 4)
    ref = await site.write(size, method, 2, code)
    is_late = size == LARGE and method in ("fsync", "fdatasync", "rename")
    if is_late and codec == "ec:2+1":
        assert isinstance(ref, DataError)
    else:
        assert isinstance(ref, DataRef)
        assert is_late == len(ref.absent)
    assert site.took_place == (1 == len(site.osds.avoid))


@pytest.mark.parametrize("size", [5000, LARGE])
async def test_osd_that_is_down_or_full_takes_nothing_until_it_is_back(
    tmp_path: Path, size: int
) -> None:
    osds = OsdSet(make_osds(tmp_path, 4))
    pool = make_pool(osds, "replica:3", on=range(4))
    osds.mark_down(1, "because")
    osds.failed(2, OSError(errno.ENOSPC, "no space left"))
    ref = await pool.write(BytesSource(pattern(size)))
    assert [0, 3, ABSENT] == [place.osd for place in ref.shards]
    osds.mark_up(1)
    osds.note_usage({})
    ref = await pool.write(BytesSource(pattern(size)))
    assert [0, 1, 3] == [place.osd for place in ref.shards]
    await pool.close()


@pytest.mark.parametrize("size", [5000, LARGE])
@pytest.mark.parametrize("codec", ["replica:3", "ec:4+2"])
async def test_too_few_osds_refuse_before_a_byte_is_written(
    tmp_path: Path, codec: str, size: int
) -> None:
    total = codec_from_name(codec).total
    osds = OsdSet(make_osds(tmp_path, total))
    pool = make_pool(osds, codec)
    for osd in range(total - 1):
        osds.mark_down(osd, "because")
    assert UnavailableError is await attempt(pool, size)
    for osd in range(total - 1):
        osds.mark_up(osd)
        osds.failed(osd, OSError(errno.ENOSPC, "no space left"))
    assert FullError is await attempt(pool, size)
    assert [] == files_of(tmp_path)
    await pool.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
async def test_trouble_of_ours_is_not_held_against_an_osd(tmp_path: Path, code: int) -> None:
    vfs = FailingVfs()
    osds = OsdSet(make_osds(tmp_path, 3, vfs))
    pool = make_pool(osds, "replica:3")
    vfs.fail("create", 1, code)
    ref = await pool.write(BytesSource(pattern(LARGE)))
    assert 1 == len(ref.absent)
    assert osds.avoid == frozenset()
    await pool.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, None])
async def test_volume_is_never_appended_to_after_an_error(tmp_path: Path, code: int | None) -> None:
    vfs = FailingVfs()
    osds = OsdSet(make_osds(tmp_path, 1, vfs))
    pool = make_pool(osds, "replica:1")
    before = await pool.write(BytesSource(pattern(700)))
    vfs.fail("append_durably", 1, code)
    with pytest.raises(DataError):
        await pool.write(BytesSource(pattern(5000)))
    sealed, _ = vfs.appended[-1]
    vfs.appended.clear()
    osds.mark_up(0)
    osds.full = osds.avoid = frozenset()
    after = await pool.write(BytesSource(pattern(4096)))
    assert sealed not in {inode for inode, _ in vfs.appended}
    assert after.shards[0].volume != before.shards[0].volume
    assert await pool.read(before, 0, 700) == pattern(700)
    await pool.close()


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
    make_osds(tmp_path, 2)
    osds = OsdSet(
        {osd: DirectoryOsd.open(str(tmp_path / f"osd{osd}"), cluster=CLUSTER, osd=osd, vfs=each)
         for osd, each in enumerate([Vfs(), vfs])}
    )  # fmt: skip
    pool = make_pool(osds, "replica:2")
    expected = FullError if code == errno.ENOSPC else UnavailableError
    for _ in range(5):
        assert await attempt(pool, 5000) is expected
    await pool.close()
    volume = next(osds.open[0].list_volumes())
    assert VOLUME_HEADER + RECORD_HEADER + 5000 == volume.size  # of the first attempt
    assert [] == list(osds.open[1].list_volumes())


async def test_record_beside_one_that_is_refused_gets_its_own_places(tmp_path: Path) -> None:
    vfs = RefusingVfs(errno.EROFS)
    DirectoryOsd.initialise(str(tmp_path / "bad"), cluster=CLUSTER, osd=2)
    refusing = DirectoryOsd.open(str(tmp_path / "bad"), cluster=CLUSTER, osd=2, vfs=vfs)
    osds = OsdSet(make_osds(tmp_path, 2) | {2: refusing})
    rules = itertools.cycle([in_turn([0, 2], 2), in_turn([0, 1], 2)])
    turns = {}

    def choose(blob: bytes, avoid: frozenset[int]) -> Sequence[int | None]:
        rule = turns.setdefault(blob, next(rules))
        return rule(blob, avoid)

    pool = PlacedPool("main", codec_from_name("replica:2"), osds, choose, numbered_ids())
    blobs = [pattern(100 + number, seed=number) for number in range(40)]
    refs = await asyncio.gather(
        *(pool.write(BytesSource(data)) for data in blobs), return_exceptions=True
    )
    assert {UnavailableError} == {type(ref) for ref in refs[::2]}
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


@pytest.mark.parametrize("placed", [[0], [0, 7, 8], [0, 7, 8, 9]])
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
