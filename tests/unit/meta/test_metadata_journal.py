"""The journal has every acknowledged commit, once, in every copy; whatever fails."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from s3server.meta.base import Add, Delete, FullError, Put, UnavailableError
from s3server.meta.group_commit import Batch
from s3server.meta.journal import LEAVE_S, Journal
from s3server.meta.journal_files import Candidate, CopiesError
from s3server.meta.journal_format import HEADER, Segment, begin, pack_entry, parse_segment
from s3server.meta.journal_read import History
from s3server.meta.lmdb import LmdbStore
from s3server.meta.lmdb_writer import LmdbWriter
from tests.support.blobs import CLUSTER
from tests.support.failing_vfs import FailingVfs
from tests.support.journalled import SEGMENT, Site, rows_of


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, vfs={osd: FailingVfs() for osd in range(4)})


def vfs_of(site: Site, osd: int) -> FailingVfs:
    vfs = site.vfs[osd]
    assert isinstance(vfs, FailingVfs)
    return vfs


async def fill(store: LmdbStore, count: int, size: int = 1_000, start: int = 0) -> None:
    for number in range(start, start + count):
        await store.commit([Put(b"k%06d" % number, os.urandom(size)), Add(b"n", 1)])


async def test_every_copy_alone_gives_back_all_that_was_committed(site: Site) -> None:
    store = site.open()
    await fill(store, 20)
    await asyncio.gather(*(store.commit([Put(b"g%d" % n, b"1"), Add(b"n", 1)]) for n in range(50)))
    await store.commit([Delete(b"k000003")])
    expected = dict(await rows_of(store))
    await store.close()
    assert expected == site.replayed()
    for osd in site.osds()[:3]:
        assert expected == site.replayed([osd])
    assert [] == site.segments(3)


async def test_full_segment_is_followed_by_the_next_one_on_the_same_osds(site: Site) -> None:
    store = site.open()
    await fill(store, 200)
    assert 4 <= len(site.segments(0)) == len(site.segments(2)) <= 6
    assert all(path.stat().st_size == SEGMENT for path in site.segments(1))
    expected = dict(await rows_of(store))
    await store.close()
    assert expected == site.replayed(site.osds()[2:])


async def test_batch_larger_than_a_segment_gets_one_that_holds_it(site: Site) -> None:
    store = site.open()
    await store.commit([Put(b"large", bytes(5 * SEGMENT))])
    await fill(store, 3)
    expected = dict(await rows_of(store))
    await store.close()
    assert expected == site.replayed()


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC, None])
@pytest.mark.parametrize("at", [1, 2, 7])
async def test_commit_goes_to_another_osd_where_one_fails(
    site: Site, code: int | None, at: int
) -> None:
    store = site.open()
    await fill(store, 3)
    vfs_of(site, 1).fail("append_durably", at, code)
    await fill(store, 10, start=3)
    assert 2 == len(site.segments(0))
    assert 1 == len(site.segments(3)), "it takes the place of the one that failed"
    expected = dict(await rows_of(store))
    assert 13 == int.from_bytes(expected[b"n"], "big")
    await store.close()
    assert expected == site.replayed()
    # What the OSD has that failed may end with a batch that was never committed.
    assert expected == site.replayed([site.osds()[1], site.osds()[2]])


async def test_nothing_is_written_to_any_copy_where_one_is_not_here(site: Site) -> None:
    """Else another process could take it for a commit before this one goes on elsewhere."""
    store = site.open()
    await fill(store, 3)
    assert store.journal is not None
    await store.close()
    (site.root / "osd1").rename(site.root / "taken")
    before = [path.read_bytes() for osd in (0, 2) for path in site.segments(osd)]
    end = begin(header(site.segments(0)[0]))
    with pytest.raises(CopiesError) as failed:
        site.journal().write(end, [b"entry"])
    assert [1] == list(failed.value.errors)
    assert before == [path.read_bytes() for osd in (0, 2) for path in site.segments(osd)]


async def test_commit_of_a_process_that_finds_an_osd_gone_goes_on_beside_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its failure and its leaving of the segment, one that had all files open commits."""
    store = site.open()
    await fill(store, 3)
    await store.close()
    another = site.journal()
    another.prepare(begin(header(site.segments(1)[0])))
    (site.root / "osd1").rename(site.root / "taken")
    store = site.open()
    leave = LmdbWriter._leave_segment

    def beside_another(writer: LmdbWriter, failed: CopiesError) -> None:
        monkeypatch.undo()
        (mine, writer.journal), tried = (writer.journal, another), writer._tried
        writer._try(Batch(), reserve=True, is_empty=True)
        writer.journal, writer._tried = mine, tried
        leave(writer, failed)

    monkeypatch.setattr(LmdbWriter, "_leave_segment", beside_another)
    await fill(store, 1, start=3)
    expected = dict(await rows_of(store))
    assert 4 == int.from_bytes(expected[b"n"], "big")
    await store.close()
    assert expected == site.replayed([each for each in site.osds() if each.id != 1])


@pytest.mark.parametrize("is_replayed", [False, True], ids=["not replayed", "replayed"])
async def test_process_goes_on_where_another_left_the_failed_segment_before_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, is_replayed: bool
) -> None:
    """Both met the same failure; what this one had written then counts only if it was replayed."""
    store, another = site.open(), site.journal()
    await fill(store, 3)
    another.prepare(begin(header(site.segments(1)[0])))
    leave = LmdbWriter._leave_segment

    def after_another(writer: LmdbWriter, failed: CopiesError) -> None:
        monkeypatch.undo()
        (mine, writer.journal), tried = (writer.journal, another), writer._tried
        writer._tried = None
        if is_replayed:
            writer._replay()
        else:
            leave(writer, failed)
        writer._try(Batch(), reserve=True, is_empty=True)
        writer.journal, writer._tried = mine, tried
        leave(writer, failed)

    monkeypatch.setattr(LmdbWriter, "_leave_segment", after_another)
    vfs_of(site, 1).fail("append_durably", 1, errno.EIO)
    if is_replayed:
        with pytest.raises(UnavailableError):  # not a refusal: nobody knows
            await fill(store, 1, start=3)
    else:
        await fill(store, 1, start=3)
    await fill(store, 3, start=4)
    expected = dict(await rows_of(store))
    assert 7 == int.from_bytes(expected[b"n"], "big")
    await store.close()
    assert expected == site.replayed([each for each in site.osds() if each.id != 1])


async def test_commit_goes_on_where_the_new_segment_fails_at_once(site: Site) -> None:
    store = site.open()
    await fill(store, 3)
    vfs_of(site, 0).fail("append_durably", 1, errno.EIO)
    vfs_of(site, 3).fail("append_durably", 2, errno.EIO)  # the first one writes the header
    await fill(store, 4, start=3)
    expected = dict(await rows_of(store))
    assert 7 == int.from_bytes(expected[b"n"], "big")
    await store.close()
    assert expected == site.replayed([each for each in site.osds() if each.id in (1, 2)])


async def test_two_of_three_copies_are_enough_and_one_is_not(tmp_path: Path) -> None:
    site = Site(tmp_path, count=3, vfs={osd: FailingVfs() for osd in range(3)})
    store = site.open()
    vfs_of(site, 1).fail("append_durably", 1, errno.EIO)
    await fill(store, 3)
    expected = dict(await rows_of(store))
    vfs_of(site, 2).fail("append_durably", 1, errno.EIO)
    with pytest.raises(UnavailableError):
        await store.commit([Put(b"lost", b"1")])
    assert expected == dict(await rows_of(store))
    await store.close()


async def test_osd_that_is_back_gets_a_copy_again(tmp_path: Path) -> None:
    site = Site(tmp_path, count=3, vfs={osd: FailingVfs() for osd in range(3)})
    store = site.open()
    vfs_of(site, 1).fail("append_durably", 1, errno.EIO)
    await fill(store, 3)
    assert [2, 1, 2] == [len(site.segments(osd)) for osd in range(3)]
    await store.close()
    store = site.open()
    await store.tidy()
    assert 3 == len(header(site.segments(0)[-1]).osds)
    await fill(store, 3, start=3)
    expected = dict(await rows_of(store))
    await store.close()
    assert expected == site.replayed([site.osds()[0]]) == site.replayed(site.osds()[1:])


def header(path: Path) -> Segment:
    segment = parse_segment(path.read_bytes()[:HEADER])
    assert segment is not None
    return segment


async def test_stale_copy_is_not_believed_over_newer_ones(site: Site) -> None:
    store = site.open()
    await fill(store, 3)
    vfs_of(site, 0).fail("append_durably", 2, errno.EIO)  # the batch is in copy 1 or 2 only
    await fill(store, 60, start=3)
    expected = dict(await rows_of(store))
    await store.close()
    assert expected == site.replayed(), "with the copy that stopped early, which comes first"


async def test_flipped_byte_in_one_copy_is_passed_over(site: Site) -> None:
    store = site.open()
    await fill(store, 12)
    expected = dict(await rows_of(store))
    await store.close()
    used = HEADER + 12 * 1_100
    for turn in range(120):
        osd, at = turn % 3, turn * used // 120
        path = site.segments(osd)[0]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        assert expected == site.replayed(), f"byte {at} of copy {osd}"
        path.write_bytes(whole)


async def test_copies_damaged_in_different_places_complete_each_other(site: Site) -> None:
    store = site.open()
    await fill(store, 12)
    expected = dict(await rows_of(store))
    await store.close()
    for osd, at in ((0, 2_000), (1, 7_000)):
        path = site.segments(osd)[0]
        damaged = bytearray(path.read_bytes())
        damaged[at : at + 100] = bytes(100)
        path.write_bytes(damaged)
    os.truncate(site.segments(2)[0], 4_000)
    assert expected == site.replayed()


async def test_entry_damaged_in_all_copies_ends_what_is_believed(site: Site) -> None:
    store = site.open()
    await fill(store, 12)
    await store.close()
    for osd in range(3):
        path = site.segments(osd)[0]
        damaged = bytearray(path.read_bytes())
        damaged[5_000:5_100] = bytes(100)
        path.write_bytes(damaged)
    assert 4 == int.from_bytes(site.replayed()[b"n"], "big")


async def test_old_copy_of_the_store_is_brought_up_to_date(site: Site) -> None:
    store = site.open()
    await fill(store, 30)
    await store.close()
    shutil.copytree(site.root / "meta", site.root / "old")
    store = site.open()
    await fill(store, 150, start=30)
    await store.commit([Delete(b"k000001")])
    expected = dict(await rows_of(store))
    await store.close()
    shutil.rmtree(site.root / "meta")
    (site.root / "old").rename(site.root / "meta")
    store = site.open()
    assert expected == dict(await rows_of(store))
    await fill(store, 3, start=900)
    expected = dict(await rows_of(store))
    await store.close()
    assert expected == site.replayed()


async def leave_entry(site: Site, store: LmdbStore, *, on: Sequence[int]) -> None:
    """Close the store as it is where a process died with its last entry on some OSDs only."""
    end = store._writer.end()
    assert end is not None
    pieces, _ = pack_entry(end, 3, 4, [(b"last", b"4")])
    await store.close()
    for osd in on:
        with site.segments(osd)[-1].open("r+b") as file:
            file.seek(end.offset)
            file.write(b"".join(pieces))


@pytest.mark.parametrize("on", [[0], [2], [0, 1]])
async def test_entry_that_a_dying_process_wrote_to_some_copies_is_in_all_once_it_counts(
    site: Site, on: list[int]
) -> None:
    store = site.open()
    await fill(store, 3)
    await leave_entry(site, store, on=on)
    store = site.open()
    await fill(store, 5, start=10)
    expected = dict(await rows_of(store))
    assert expected[b"last"] == b"4"
    await store.close()
    for osd in site.osds()[:3]:
        assert expected == site.replayed([osd])


@pytest.mark.parametrize("fault", ["append_durably", "gone"])
async def test_copy_that_cannot_have_the_last_entry_is_not_written_to_any_more(
    site: Site, fault: str
) -> None:
    store = site.open()
    await fill(store, 3)
    await leave_entry(site, store, on=[0])
    if fault == "gone":
        (site.root / "osd1").rename(site.root / "taken")
    else:
        vfs_of(site, 1).fail(fault, 1, errno.EIO)
    store = site.open()
    await fill(store, 5, start=10)
    expected = dict(await rows_of(store))
    assert expected[b"last"] == b"4"
    await store.close()
    assert 1 == len(site.segments(3)), "it takes the place of the one that failed"
    assert expected == site.replayed([site.osds()[0]]) == site.replayed([site.osds()[2]])


async def test_store_is_opened_for_reads_where_the_last_entry_has_too_few_copies(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, count=3)
    store = site.open()
    await fill(store, 3)
    await leave_entry(site, store, on=[0])
    for osd in (1, 2):
        (site.root / f"osd{osd}").rename(site.root / f"taken{osd}")
    store = site.open()
    assert b"4" == await store.get(b"last")
    with pytest.raises(UnavailableError):
        await fill(store, 1, start=10)
    await store.close()


@pytest.mark.parametrize("is_open", [False, True])
async def test_store_goes_on_in_a_new_segment_where_copies_are_gone_but_their_osds_are_well(
    tmp_path: Path, is_open: bool
) -> None:
    site = Site(tmp_path, count=3)
    store = site.open()
    await fill(store, 3)
    if not is_open:
        await store.close()
    for osd in (1, 2):
        site.segments(osd)[0].unlink()
    if not is_open:
        store = site.open()
    await fill(store, 3, start=3)
    expected = dict(await rows_of(store))
    await store.close()
    assert [2, 1, 1] == [len(site.segments(osd)) for osd in range(3)]
    assert expected == site.replayed()


async def test_store_with_a_journal_commits_nothing_without_it(site: Site) -> None:
    await site.open().close()
    store = LmdbStore.open(site.root / "meta", ballast_bytes=0)
    assert store.is_journalled
    with pytest.raises(UnavailableError, match="journal"):
        await store.commit([Put(b"k", b"1")])
    await store.close()


async def test_segment_of_another_cluster_means_nothing(site: Site) -> None:
    store = site.open()
    await fill(store, 3)
    await store.close()
    assert [] == History(site.osds(), "another").segments
    assert 1 == len(History(site.osds(), CLUSTER).segments)


async def test_where_no_osd_has_space_for_a_segment_deletes_go_on(site: Site) -> None:
    store = site.open()
    await fill(store, 20)
    for osd in range(4):
        always_full(vfs_of(site, osd))
    with pytest.raises(FullError):
        await fill(store, 200, start=20)
    assert store.is_full
    for number in range(100):
        await store.commit([Delete(b"k%06d" % number), Add(b"n", -1)])
    expected = dict(await rows_of(store))
    for osd in range(4):
        vfs_of(site, osd).allocate = lambda fd, size: None  # type: ignore[method-assign]
    await store.tidy()
    assert not store.is_full
    await store.commit([Put(b"again", b"1")])
    assert expected | {b"again": b"1"} == dict(await rows_of(store)) == site.replayed()
    await store.close()


def always_full(vfs: FailingVfs) -> None:
    def allocate(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    vfs.allocate = allocate  # type: ignore[method-assign]


class Moving:
    """Two processes with a journal on OSDs 0-2, which moves to OSDs 3-5."""

    def __init__(self, root: Path) -> None:
        self.now_s = 0.0
        self.old, self.new = self._candidates(root)[:3], self._candidates(root)[3:]
        self.first, self.second = (
            Journal(
                CLUSTER,
                self.old,
                copies=3,
                segment_bytes=SEGMENT,
                monotonic=lambda: self.now_s,
            )
            for _ in range(2)
        )
        self.end = self.first.begin(None, 0, need=100)

    def _candidates(self, root: Path) -> list[Candidate]:
        return [Candidate(osd, str(osd.id)) for osd in Site(root, count=6).osds()]

    def write(self, journal: Journal) -> None:
        """Write as the store does: into a new segment where this one cannot be written to."""
        try:
            journal.write(self.end, [b"an entry"])
        except CopiesError:
            self.end = journal.begin(self.end, 0, need=100)
            journal.write(self.end, [b"an entry"])

    def write_in_turn(self) -> list[int]:
        """Let each process write some entries; return where the last one is."""
        for _ in range(5):
            self.write(self.first)
            self.write(self.second)
        return sorted(self.end.osds)


def test_journal_moves_once_though_processes_hear_of_it_one_after_the_other(
    tmp_path: Path,
) -> None:
    moving = Moving(tmp_path)
    moving.first.use(moving.new)
    assert [0, 1, 2] == moving.write_in_turn()
    moving.second.use(moving.new)
    moving.now_s += LEAVE_S
    assert [3, 4, 5] == moving.write_in_turn()
    assert 2 == moving.end.segment
    assert 0 == moving.first.failures + moving.second.failures


def test_osd_that_a_process_does_not_know_yet_is_no_suspect_once_it_does(tmp_path: Path) -> None:
    moving = Moving(tmp_path)
    moving.first.use(moving.new)
    moving.now_s += LEAVE_S
    assert [0, 1, 2] == moving.write_in_turn()  # the second one goes back
    moving.second.use(moving.new)
    assert moving.new == moving.second.candidates
    moving.now_s += LEAVE_S
    assert [3, 4, 5] == moving.write_in_turn()
    assert 0 == moving.first.failures + moving.second.failures


def test_osd_that_fails_while_it_is_left_is_left_at_once(tmp_path: Path) -> None:
    moving = Moving(tmp_path)
    moving.second.use(moving.new)
    (tmp_path / "osd1" / "journal").rename(tmp_path / "gone")
    moving.write(moving.second)
    assert [3, 4, 5] == sorted(moving.end.osds)
    assert 1 == moving.second.failures
