"""What one process meets on an OSD, all processes know a look later; and when it is back."""

from __future__ import annotations

import errno
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3server.cluster.live import ClusterWatch
from s3server.cluster.map_record import osd_key
from s3server.core.upkeep_records import osd_down_key
from s3server.data.base import UnavailableError
from s3server.jobs.probe import Probe
from s3server.meta.base import Put
from s3server.model import ABSENT
from tests.support.blobs import BytesSource, pattern
from tests.support.cluster_maps import MappedStore, numbered

LARGE = 200_000


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[ClusterWatch]]:
    store = MappedStore(tmp_path)
    await store.seed(*numbered(4))
    watches = [await store.watch() for _ in range(3)]
    yield watches
    for watch in watches:
        await watch.close()


async def look(*watches: ClusterWatch) -> None:
    for watch in watches:
        await watch.look()


async def examined(watch: ClusterWatch) -> None:
    """Look, and wait until the OSDs have been looked at too."""
    await watch.look()
    task = watch._osds._examination
    assert task is not None
    await task


def prober(watch: ClusterWatch) -> Probe:
    return Probe(watch._meta, watch.cluster.osds, watch.reopen)


async def holders(watch: ClusterWatch, size: int, count: int = 20) -> set[int]:
    pool = watch.cluster.pools["default"]
    refs = [await pool.write(BytesSource(pattern(size))) for _ in range(count)]
    return {place.osd for ref in refs for place in ref.shards}


async def test_osd_that_failed_in_one_process_is_down_in_all_until_it_is_probed(
    processes: list[ClusterWatch],
) -> None:
    one, _, jobs = processes
    one.cluster.osd_set.failed(2, OSError(errno.EIO, "bad disk"))
    await look(*processes)
    for watch in processes:
        assert {2} == set(watch.cluster.osd_set.down)
        assert "bad disk" in watch.cluster.osd_set.down[2]
        assert {0, 1, 3} == await holders(watch, LARGE)
    assert 1 == (await prober(jobs).step()).back
    await look(*processes)
    for watch in processes:
        assert {} == watch.cluster.osd_set.down
        assert {0, 1, 2, 3} == await holders(watch, 5000)


@pytest.mark.parametrize("size", [5_000, LARGE])
async def test_osd_that_is_back_is_used_at_once_where_it_is_needed(
    tmp_path: Path, size: int
) -> None:
    """As disks are exchanged one after the other, and a worker has not looked in between."""
    store = MappedStore(tmp_path)
    await store.seed(*numbered(3))
    one, jobs = [await store.watch() for _ in range(2)]
    for broken in (0, 1):
        one.cluster.osd_set.failed(broken, OSError(errno.EIO, "exchanged"))
        await look(one, jobs)
    assert 2 == (await prober(jobs).step()).back
    one.cluster.osd_set.failed(2, OSError(errno.EIO, "exchanged"))
    assert {0, 1, ABSENT} == await holders(one, size, 1)
    for watch in (one, jobs):
        await watch.close()


async def test_upload_is_refused_for_what_it_lacks_where_the_news_cannot_be_read(
    tmp_path: Path,
) -> None:
    store = MappedStore(tmp_path)
    await store.seed(*numbered(3))
    (tmp_path / "osd.0").rename(tmp_path / "away")
    one, jobs = [await store.watch() for _ in range(2)]
    await look(one, jobs)
    (tmp_path / "away").rename(tmp_path / "osd.0")
    assert 1 == (await prober(jobs).step()).back
    await store.meta.commit([Put(osd_key(0), b"damaged")])
    for broken in (1, 2):
        one.cluster.osd_set.failed(broken, OSError(errno.EIO, "exchanged"))
    with pytest.raises(UnavailableError):
        await holders(one, LARGE, 1)
    for watch in (one, jobs):
        await watch.close()


@pytest.mark.parametrize("change", ["gone", "empty", "another"])
async def test_directory_that_is_replaced_is_noticed_and_never_written_to(
    processes: list[ClusterWatch], tmp_path: Path, change: str
) -> None:
    one, other, jobs = processes
    path, away = tmp_path / "osd.1", tmp_path / "away"
    path.rename(away)
    if change == "empty":
        path.mkdir()
    elif change == "another":
        shutil.copytree(tmp_path / "osd.2", path)
    assert {0, 2, 3} == await holders(one, LARGE)
    await look(*processes)
    assert {1} == set(other.cluster.osd_set.down)
    before = sorted(path.rglob("*"))
    assert {0, 2, 3} == await holders(other, 5000)
    assert 0 == (await prober(jobs).step()).back
    assert before == sorted(path.rglob("*"))
    if change != "gone":
        shutil.rmtree(path)
    away.rename(path)
    assert 1 == (await prober(jobs).step()).back
    await look(*processes)
    assert {0, 1, 2, 3} == await holders(other, LARGE)


async def test_idle_process_notices_a_directory_that_went(
    processes: list[ClusterWatch], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "osd.3")
    await examined(processes[0])
    assert {3} == set(processes[0].cluster.osd_set.down)


async def test_osd_that_was_missing_at_the_start_comes_into_use(tmp_path: Path) -> None:
    store = MappedStore(tmp_path)
    await store.seed(*numbered(4))
    (tmp_path / "osd.0").rename(tmp_path / "away")
    watches = [await store.watch() for _ in range(2)]
    await look(*watches)
    assert [0] == list(watches[0].cluster.missing)
    assert {1, 2, 3} == await holders(watches[0], LARGE)
    (tmp_path / "away").rename(tmp_path / "osd.0")
    assert 1 == (await prober(watches[1]).step()).back
    await look(*watches)
    for watch in watches:
        assert {0, 1, 2, 3} == await holders(watch, LARGE)
        await watch.close()


async def test_full_osd_takes_nothing_and_is_read_and_freed(
    processes: list[ClusterWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = processes[0]
    pool, osds = watch.cluster.pools["default"], watch.cluster.osd_set
    refs = [await pool.write(BytesSource(pattern(LARGE))) for _ in range(8)]
    await examined(watch)
    usage = dict(osds.usage)
    full = usage[1].__class__(total=1000, free=50, used=950)
    osds.note_usage(usage | {1: full})
    assert {1} == osds.full
    assert {0, 2, 3} == await holders(watch, LARGE)
    for ref in refs:
        assert pattern(LARGE) == await pool.read(ref, 0, LARGE)
        await pool.delete(ref)
    osds.note_usage(usage | {1: full.__class__(total=1000, free=60, used=940)})
    assert frozenset() == osds.full


async def test_damaged_row_of_an_osd_still_says_that_it_is_down(
    processes: list[ClusterWatch],
) -> None:
    one, other, jobs = processes
    await one._meta.commit([Put(osd_down_key(2), b"damaged")])
    await look(*processes)
    assert {2} == set(other.cluster.osd_set.down)
    await prober(jobs).step()
    await look(*processes)
    assert {} == one.cluster.osd_set.down


async def test_other_osd_that_looks_alike_takes_no_write(processes: list[ClusterWatch]) -> None:
    """Disks that were made alike have the same device number and inodes, one after the other."""
    one, *_ = processes
    identity = Path(one.cluster.osds[2].path, "osd.json")
    inode, uuid = identity.stat().st_ino, one.cluster.osds[2].uuid
    identity.write_text(identity.read_text().replace(uuid, uuid[::-1]))
    assert inode == identity.stat().st_ino
    assert 2 not in await holders(one, LARGE)
    reason = f"{one.cluster.osds[2].path} is no longer the OSD that was opened"
    assert reason == one.cluster.osd_set.down[2]
    identity.unlink()
    one.cluster.osd_set.mark_up(2)
    assert 2 not in await holders(one, LARGE)
    reason = f"{one.cluster.osds[2].path} has no osd.json; is it mounted?"
    assert reason == one.cluster.osd_set.down[2]
