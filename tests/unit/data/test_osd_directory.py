"""OSD directories: identity, listings, torn volumes, the sweep of what dead processes left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from s3server.data.base import CorruptError, MissingError, UnavailableError
from s3server.data.layout import RECORD_HEADER, VOLUME_HEADER, Shard
from s3server.data.osd_directory import DirectoryOsd, IdentityError
from s3server.data.vfs import Vfs
from tests.support.blobs import (
    CLUSTER,
    BytesSource,
    make_osds,
    make_pool,
    numbered_ids,
    pattern,
)


class Recorder(Vfs):
    """Notes which directories are synced."""

    def __init__(self) -> None:
        self.opened: dict[int, str] = {}
        self.synced: list[str] = []

    def open(self, path: str) -> int:
        fd = super().open(path)
        self.opened[fd] = path
        return fd

    def fsync(self, fd: int) -> None:
        self.synced.append(self.opened.pop(fd, ""))
        super().fsync(fd)


def initialised(path: Path) -> DirectoryOsd:
    return DirectoryOsd.initialise(str(path), cluster=CLUSTER, osd=4)


def test_initialised_directory_opens(tmp_path: Path) -> None:
    initialised(tmp_path / "osd")
    osd = DirectoryOsd.open(str(tmp_path / "osd"), cluster=CLUSTER, osd=4)
    assert osd.id == 4
    assert list(osd.list_shards()) == []
    assert list(osd.list_volumes()) == []


def test_directories_that_are_made_on_the_way_are_durable(tmp_path: Path) -> None:
    vfs = Recorder()
    path = tmp_path / "srv" / "disk0" / "osd"
    DirectoryOsd.initialise(str(path), cluster=CLUSTER, osd=4, vfs=vfs)
    made_in = [str(each) for each in (tmp_path, tmp_path / "srv", tmp_path / "srv" / "disk0")]
    assert made_in == [each for each in vfs.synced if each in made_in]
    assert 0o750 == path.stat().st_mode & 0o777


async def test_directories_of_shards_are_made_with_their_first_shards(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "replica:3")
    refs = [await pool.write(BytesSource(pattern(100_000))) for _ in range(20)]
    wanted = {f"{ref.blob[-1]:02x}" for ref in refs}
    for osd in osds.values():
        assert wanted == {path.name for path in Path(osd.path, "shards").iterdir()}
        assert not osd.remove_old_shard(bytes(15) + b"\x00", 0, until_s=0)
    await pool.close()


async def test_directory_that_another_process_has_just_made_is_made_durable(tmp_path: Path) -> None:
    theirs = make_osds(tmp_path, 1)[0]
    vfs = Recorder()
    ours = DirectoryOsd.open(theirs.path, cluster=CLUSTER, osd=0, vfs=vfs)
    pool = make_pool({0: ours}, "replica:1")
    shard = Shard(numbered_ids()(), 0, codec="replica:1", size=100_000)
    theirs.make_place(shard)
    ref = await pool.write(BytesSource(pattern(100_000)))
    assert ref.blob == shard.blob
    place = os.path.dirname(ours.shard_path(ref.blob, 0))
    assert [f"{ours.path}/shards", place] == [each for each in vfs.synced if each]
    await pool.close()


async def test_directory_that_was_lost_under_a_running_process_is_made_again(
    tmp_path: Path,
) -> None:
    """As fsck loses one between two mounts: the OSD is the one that was opened."""
    vfs = Recorder()
    osds = make_osds(tmp_path, 3, vfs)
    pools = [make_pool(osds, "replica:3") for _ in range(2)]  # of the same ids
    await pools[0].write(BytesSource(pattern(100_000)))
    for osd in osds.values():
        for path in Path(osd.path, "shards").iterdir():
            shutil.rmtree(path)
    vfs.synced.clear()
    ref = await pools[1].write(BytesSource(pattern(100_000)))
    assert () == ref.absent
    assert {f"{osd.path}/shards" for osd in osds.values()} <= set(vfs.synced)
    for pool in pools:
        await pool.close()


@pytest.mark.parametrize("lost", ["incoming", "journal", "volumes", "shards"])
async def test_probe_makes_a_directory_again_that_every_write_would_fail_without(
    lost: str, tmp_path: Path
) -> None:
    """Found well without it, an OSD would be down at its next write, and so on for ever."""
    vfs = Recorder()
    osds = make_osds(tmp_path, 1, vfs)
    shutil.rmtree(Path(osds[0].path, lost))
    vfs.synced.clear()
    osds[0].probe()
    assert osds[0].path in vfs.synced
    assert Path(osds[0].path, lost).is_dir()
    pool = make_pool(osds, "replica:1")
    for size in (100, 100_000):
        await pool.write(BytesSource(pattern(size)))
    await pool.close()


def test_probe_makes_nothing_where_the_disk_is_missing(tmp_path: Path) -> None:
    osd = initialised(tmp_path / "osd")
    shutil.rmtree(osd.path)
    os.mkdir(osd.path)
    with pytest.raises(OSError, match="mounted"):
        osd.probe()
    assert os.listdir(osd.path) == []


def test_fresh_file_system_can_be_initialised(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    initialised(tmp_path)
    assert (tmp_path / "osd.json").is_file()


def test_directory_in_use_is_not_initialised(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(IdentityError, match=r"thesis\.tex"):
        initialised(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_osd_is_not_initialised_again(tmp_path: Path) -> None:
    initialised(tmp_path)
    with pytest.raises(IdentityError, match="not empty"):
        initialised(tmp_path)


@pytest.mark.parametrize(
    ("cluster", "osd", "message"),
    [("another", 4, "cluster a-cluster"), (CLUSTER, 5, "is OSD 4, not OSD 5")],
)
def test_foreign_osd_is_refused(tmp_path: Path, cluster: str, osd: int, message: str) -> None:
    initialised(tmp_path)
    with pytest.raises(IdentityError, match=message):
        DirectoryOsd.open(str(tmp_path), cluster=cluster, osd=osd)


def test_empty_mount_point_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(IdentityError, match="mounted"):
            DirectoryOsd.open(str(path), cluster=CLUSTER, osd=4)


@pytest.mark.parametrize(
    ("change", "message"), [({"format_version": 2}, "newer"), ({"osd": "x"}, "cannot be read")]
)
def test_identity_that_is_not_understood_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    initialised(tmp_path)
    file = tmp_path / "osd.json"
    file.write_bytes(msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | change))
    with pytest.raises(IdentityError, match=message):
        DirectoryOsd.open(str(tmp_path), cluster=CLUSTER, osd=4)


async def test_listings_name_what_was_written(tmp_path: Path) -> None:
    osds = make_osds(tmp_path, 3)
    pool = make_pool(osds, "ec:2+1")
    large = await pool.write(BytesSource(pattern(70_000)))
    small = [await pool.write(BytesSource(pattern(size))) for size in (1, 4096, 700)]
    shards = [[(each.blob, each.index) for each in osd.list_shards()] for osd in osds.values()]
    assert shards == [[(large.blob, 0)], [(large.blob, 1)], [(large.blob, 2)]]
    volume = small[0].shards[0].volume
    assert list(osds[0].scan_volume(volume)) == [
        (ref.blob, ref.shards[0].offset, ref.size) for ref in small
    ]
    assert list(osds[2].list_volumes()) == []  # m + 1 copies of small blobs
    await pool.close()


async def test_volume_is_open_until_its_pool_closes(tmp_path: Path) -> None:
    osd = make_osds(tmp_path, 1)[0]
    pool = make_pool({0: osd}, "replica:1")
    volume = (await pool.write(BytesSource(b"x"))).shards[0].volume
    assert [(each.id, each.is_open) for each in osd.list_volumes()] == [(volume, True)]
    with pytest.raises(UnavailableError):
        osd.remove_volume(volume)
    await pool.close()
    assert [(each.id, each.is_open) for each in osd.list_volumes()] == [(volume, False)]
    osd.remove_volume(volume)
    osd.remove_volume(volume)
    assert list(osd.list_volumes()) == []


@pytest.mark.parametrize("tail", ["cut header", "cut data", "zeros", "garbage", "flipped header"])
async def test_torn_end_of_a_volume_is_left_out(tmp_path: Path, tail: str) -> None:
    osd = make_osds(tmp_path, 1)[0]
    pool = make_pool({0: osd}, "replica:1")
    refs = [await pool.write(BytesSource(pattern(size))) for size in (100, 4096, 300)]
    await pool.close()
    volume, last = refs[0].shards[0].volume, refs[2].shards[0].offset
    path = Path(osd.volume_path(volume))
    whole = path.read_bytes()
    torn = {
        "cut header": whole[: last + RECORD_HEADER - 1],
        "cut data": whole[:-1],
        "zeros": whole[:last] + bytes(5000),
        "garbage": whole[:last] + pattern(5000),
        "flipped header": whole[: last + 9] + bytes([whole[last + 9] ^ 1]) + whole[last + 10 :],
    }
    path.write_bytes(torn[tail])
    assert [blob for blob, _, _ in osd.scan_volume(volume)] == [ref.blob for ref in refs[:2]]


def test_scan_of_what_is_no_volume(tmp_path: Path) -> None:
    osd = initialised(tmp_path)
    with pytest.raises(MissingError):
        list(osd.scan_volume(bytes(8)))
    Path(osd.volume_path(bytes(8))).write_bytes(pattern(VOLUME_HEADER))
    with pytest.raises(CorruptError):
        list(osd.scan_volume(bytes(8)))


def test_sweep_removes_what_is_old_and_nobody_writes(tmp_path: Path) -> None:
    osd = initialised(tmp_path)
    names = ["dead", "alive", "young"]
    for name in names:
        Path(osd.incoming_path(name)).touch()
        os.utime(osd.incoming_path(name), (1000, 2000 if name == "young" else 1000))
    writer = osd.vfs.open(osd.incoming_path("alive"))
    assert osd.vfs.lock(writer)
    assert osd.sweep_incoming(500, now=2100) == 1
    assert sorted(os.listdir(tmp_path / "incoming")) == ["alive", "young"]
    osd.vfs.close(writer)
    assert osd.sweep_incoming(500, now=3000) == 2
    assert os.listdir(tmp_path / "incoming") == []


def test_usage_is_that_of_the_file_system(tmp_path: Path) -> None:
    usage = initialised(tmp_path).usage()
    found = os.statvfs(tmp_path)
    assert usage.total == found.f_blocks * found.f_frsize
    assert 0 <= usage.free <= usage.total
