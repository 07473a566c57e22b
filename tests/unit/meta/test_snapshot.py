"""Snapshots: whole or not there, verified block by block, and what they let go."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

import pytest

from s3server.jobs.snapshot import Snapshots
from s3server.meta import snapshot_format
from s3server.meta.base import Add, CorruptRecordError, Delete, Put, UnavailableError
from s3server.meta.lmdb import LmdbStore
from s3server.meta.restore import stored_state
from s3server.meta.snapshot import stored_snapshots
from tests.support.blobs import CLUSTER
from tests.support.core_store import ManualClock
from tests.support.failing_vfs import FailingVfs
from tests.support.journalled import Site, rows_of


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3server.meta.snapshot.BLOCK_BYTES", 2_000)


async def fill(store: LmdbStore, start: int, stop: int) -> None:
    for number in range(start, stop):
        await store.commit([Put(b"k%04d" % number, bytes([number % 256]) * 900), Add(b"n", 1)])


def files(site: Site, osd: int) -> list[Path]:
    return sorted((site.root / f"osd{osd}" / "journal").glob("*.snap"))


def jobs_of(store: LmdbStore, **options: int) -> Snapshots:
    return Snapshots(store, clock=ManualClock(), **options)


async def test_snapshot_and_journal_give_back_the_store(tmp_path: Path) -> None:
    site = Site(tmp_path)
    store = site.open()
    await fill(store, 0, 30)
    await jobs_of(store).take()
    await fill(store, 20, 40)
    await store.commit([Delete(b"k0003"), Put(b"a", b"first"), Put(b"z", b"last")])
    expected = await rows_of(store)
    await store.close()
    state = stored_state(site.osds(), CLUSTER)
    assert expected == list(state.rows())
    assert expected == list(stored_state(site.osds()[1:2], CLUSTER).rows())


async def test_commits_during_a_snapshot_are_not_in_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    store = site.open()
    await fill(store, 0, 100)
    before = await rows_of(store)
    jobs = jobs_of(store)
    jobs._begin()
    assert jobs._writer is not None
    assert jobs._writer.step(blocks=3)
    await fill(store, 50, 150)
    while (await jobs.step()).has_more:
        pass
    assert before == list(stored_snapshots(site.osds(), CLUSTER)[0].rows())
    assert await rows_of(store) == list(stored_state(site.osds(), CLUSTER).rows())
    await store.close()


async def test_two_snapshots_are_kept_and_the_journal_from_the_older_one_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    store = site.open()
    jobs = jobs_of(store)
    taken = []
    for turn in range(4):
        await fill(store, turn * 100, turn * 100 + 100)
        taken.append(await jobs.take())
    expected = await rows_of(store)
    await store.close()
    assert [each.name for each in taken[2:]] == [path.name for path in files(site, 0)]
    assert 2 <= len(site.segments(0)) <= 4, "of 64 KiB each; there were some 8"
    for newest in files(site, 0), files(site, 1), files(site, 2):
        newest[1].write_bytes(newest[1].read_bytes()[:-100])
    state = stored_state(site.osds(), CLUSTER)
    assert taken[2].sequence == state.snapshot.snapshot.sequence
    assert expected == list(state.rows())


async def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path: Path) -> None:
    site = Site(tmp_path, count=1, copies=1)
    store = site.open()
    await fill(store, 0, 8)
    await jobs_of(store).take()
    await store.close()
    path = files(site, 0)[0]
    whole = path.read_bytes()
    damages = [whole[:size] for size in range(0, len(whole), 97)]
    damages += [
        whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        for at in itertools.chain(range(600), range(600, len(whole), 13))
    ]
    for damaged in damages:
        path.write_bytes(damaged)
        assert not any(each.is_whole() for each in stored_snapshots(site.osds(), CLUSTER))
    with pytest.raises(CorruptRecordError):
        stored_state(site.osds(), CLUSTER)


async def test_copies_damaged_in_different_blocks_complete_each_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    store = site.open()
    await fill(store, 0, 40)
    await jobs_of(store).take()
    expected = await rows_of(store)
    await store.close()
    for osd, at in ((0, 1_000), (1, 9_000)):
        path = files(site, osd)[0]
        damaged = bytearray(path.read_bytes())
        damaged[at] ^= 1
        path.write_bytes(damaged)
    files(site, 2)[0].write_bytes(files(site, 2)[0].read_bytes()[:5_000])
    assert expected == list(stored_snapshots(site.osds(), CLUSTER)[0].rows())


@pytest.mark.parametrize("method", ["create", "pwrite", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_osd_that_fails_is_left_out(tmp_path: Path, method: str, code: int) -> None:
    vfs = {osd: FailingVfs() for osd in range(3)}
    site = Site(tmp_path, count=3, vfs=vfs)
    store = site.open()
    await fill(store, 0, 10)
    vfs[1].fail(method, 1, code)
    await jobs_of(store).take()
    assert [1, 0, 1] == [len(files(site, osd)) for osd in range(3)]
    vfs[1].fail(method, 1, code)
    vfs[2].fail(method, 1, code)
    await fill(store, 10, 12)
    with pytest.raises(UnavailableError):
        await jobs_of(store).take()
    assert [] == list(tmp_path.glob("osd*/incoming/*"))
    await store.close()


async def test_snapshot_is_due_at_first_daily_and_when_the_journal_has_grown(
    tmp_path: Path,
) -> None:
    site, clock = Site(tmp_path), ManualClock()
    store = site.open()
    jobs = Snapshots(store, clock=clock, interval_ms=1_000, journal_bytes=200_000)
    await fill(store, 0, 1)
    assert jobs.is_due()
    while (await jobs.step()).has_more:
        pass
    assert not jobs.is_due()
    clock.now += 1_000
    assert not jobs.is_due(), "nothing was committed since"
    await fill(store, 1, 2)
    assert jobs.is_due()
    while (await jobs.step()).has_more:
        pass
    await fill(store, 2, 400)
    assert jobs.is_due()
    await store.close()


def test_snapshot_of_another_cluster_means_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, count=1, copies=1)
    header = snapshot_format.Snapshot("another", 7, 0, 0)
    path = site.root / "osd0" / "journal" / header.name
    path.write_bytes(snapshot_format.pack_header(header))
    assert [] == stored_snapshots(site.osds(), CLUSTER)
