"""A process that dies at any call that writes the journal, or between it and LMDB's commit.

Every acknowledged commit is in the store and in the journal alone; the one that was under way is in
both or in neither, and never half.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from s3server.meta.base import Add, Append, Put
from s3server.meta.journal import Journal
from s3server.meta.journal_format import End
from s3server.meta.lmdb import LmdbStore
from tests.support.crash_image import memory_directory
from tests.support.crash_points import Countdown, CrashVfs, Fault, run_until
from tests.support.journalled import Site, rows_of

COMMITS = 6
root = pytest.fixture(memory_directory)


class CrashJournal(Journal):
    """Counts once more when an entry is durable and LMDB has not committed."""

    countdown: Countdown

    def write(self, end: End, pieces: Sequence[bytes]) -> None:
        super().write(end, pieces)
        self.countdown.step()


class FailingAfter(CrashVfs):
    """An OSD whose appends fail from the third on."""

    appends = 0

    def append_durably(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:  # type: ignore[override]
        self.appends += 1
        if self.appends > 2:
            raise OSError(errno.EIO, "Input/output error")
        return super().append_durably(fd, buffers, offset)


def opened(root: Path, countdown: Countdown, *, fails: int | None) -> LmdbStore:
    vfs = {osd: CrashVfs(countdown) for osd in range(4)}
    if fails is not None:
        vfs[fails] = FailingAfter(countdown)
    site = Site(root, vfs=vfs)
    store = LmdbStore.open(root / "meta", map_size=1 << 30, ballast_bytes=0)
    plain = site.journal()
    journal = CrashJournal(
        plain.cluster, plain._candidates, copies=3, segment_bytes=plain._segment_bytes
    )
    journal.countdown = countdown
    store.attach(journal)
    return store


async def commit_some(store: LmdbStore, done: Callable[[], None], size: int) -> None:
    for number in range(COMMITS):
        value = b"%d" % number * size
        await store.commit([Put(b"a%d" % number, value), Add(b"n", 1), Append(b"z", value)])
        done()


@pytest.mark.parametrize("fault", [Fault.KILL, Fault.TORN, Fault.POWER])
@pytest.mark.parametrize("fails", [None, 0, 2], ids=["all well", "first fails", "last fails"])
@pytest.mark.parametrize("size", [10, 9_000], ids=["one segment", "several segments"])
def test_death_at_every_call(root: Path, size: int, fails: int | None, fault: Fault) -> None:
    site = Site(root)
    asyncio.run(_close(site.open()))

    async def work(countdown: Countdown, done: Callable[[], None]) -> None:
        await commit_some(opened(root, countdown, fails=fails), done, size)

    count = 0
    for call in itertools.count(1):
        graves = root / f"graves.{call}"
        graves.mkdir()
        death = run_until(Countdown(call, fault, str(graves)), work)
        alone = site.replayed()
        rows = asyncio.run(_rows(site))
        assert counted(alone) - count in (death.done, death.done + 1)
        assert counted(rows) == counted(alone) or counted(rows) == counted(alone) - 1
        count = counted(rows)
        assert count == sum(key.startswith(b"z") for key in rows), "half a commit"
        # One that died in a new segment, still empty, leaves the batch in the one before, where
        # it counts until the next commit.
        assert counted(site.replayed()) - count in (0, 1)
        if not death.is_dead:
            break
    assert call > COMMITS


async def _close(store: LmdbStore) -> None:
    await store.close()


async def _rows(site: Site) -> dict[bytes, bytes]:
    store = site.open()
    rows = dict(await rows_of(store))
    await store.close()
    return rows


def counted(rows: dict[bytes, bytes]) -> int:
    return int.from_bytes(rows.get(b"n", b""), "big")
