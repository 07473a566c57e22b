"""OSDs that do not answer: whoever waits goes on with the others, and nobody asks them again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytest

from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.threads import HungError, Threads
from s3server.data.vfs import Buffer, Vfs
from tests.support.blobs import CLUSTER, BytesSource, collect, make_osds, make_pool, pattern

T = TypeVar("T")
SIZES = [5000, 1_300_000]
CODECS = ["replica:3", "ec:4+2"]


class StuckVfs(Vfs):
    """One whose calls of some kinds do not return until `answers` is set."""

    def __init__(self) -> None:
        self.stuck: frozenset[str] = frozenset()
        self.answers = threading.Event()

    def _wait(self, method: str) -> None:
        if method in self.stuck:
            self.answers.wait(60)

    def pread_cached(self, fd: int, buffer: bytearray, offset: int) -> int:
        return 0

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._wait("pread")
        return super().pread(fd, size, offset)

    def open(self, path: str) -> int:
        self._wait("open")
        return super().open(path)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self._wait("pwrite")
        return super().pwrite(fd, data, offset)

    def append_durably(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        self._wait("append_durably")
        return super().append_durably(fd, buffers, offset)

    def fdatasync(self, fd: int) -> None:
        self._wait("fdatasync")
        super().fdatasync(fd)


class OneWatched(OsdSet):
    """Notes calls of the OSD that may stick: the disks of this machine may be slow."""

    def calling(self, osd: int) -> AbstractContextManager[None]:
        return super().calling(osd) if osd == 1 else nullcontext()


class Site:
    """OSDs of which the second may stick, and the pool on them."""

    def __init__(self, root: Path, codec: str, count: int) -> None:
        self.vfs = StuckVfs()
        directories = make_osds(root, count)
        path = directories[1].path
        directories[1] = DirectoryOsd.open(path, cluster=CLUSTER, osd=1, vfs=self.vfs)
        self.osds = OneWatched(directories, deadline_s=1.5)
        self.pool: PlacedPool = make_pool(self.osds, codec, on=range(count))

    async def end_of(self, work: Awaitable[T]) -> T:
        """Return what this ends with, while the watch looks for what is stuck."""
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(60):
            while not task.done():
                if stuck := self.osds.stuck():
                    self.pool.give_up(stuck)
                await asyncio.wait([task], timeout=0.01)
        return task.result()

    async def close(self) -> None:
        self.vfs.answers.set()
        await self.pool.close()


@pytest.fixture
async def sites(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Site] = []

    def make(codec: str, count: int) -> Site:
        made.append(Site(tmp_path, codec, count))
        return made[-1]

    yield make
    for site in made:
        await site.close()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("call", ["open", "pread"])
async def test_reader_goes_to_other_shards(sites: Any, codec: str, size: int, call: str) -> None:
    site = sites(codec, 6)
    ref = await site.pool.write(BytesSource(pattern(size)))
    site.osds.mark_down(0, "so that the second one is asked", is_silent=True)
    site.vfs.stuck = frozenset({call})
    reads = asyncio.gather(*(site.pool.read(ref, 0, size) for _ in range(20)))
    assert [pattern(size)] * 20 == await site.end_of(reads)
    assert pattern(size) == await site.end_of(collect(site.pool, ref))
    assert 1 in site.osds.silent


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", CODECS)
async def test_writer_goes_elsewhere_or_leaves_the_shard_out(
    sites: Any, codec: str, size: int
) -> None:
    site = sites(codec, 7)
    await site.pool.write(BytesSource(pattern(size)))
    site.vfs.stuck = frozenset({"pwrite", "append_durably", "fdatasync"})
    writes = asyncio.gather(*(site.pool.write(BytesSource(pattern(size))) for _ in range(20)))
    refs = await site.end_of(writes)
    assert {1} == site.osds.silent
    for ref in refs:
        assert 1 not in {place.osd for place in ref.shards}
        assert len(ref.absent) <= 1
        assert pattern(size) == await site.pool.read(ref, 0, size)
    ref = await site.pool.write(BytesSource(pattern(size)))
    assert () == ref.absent


def test_threads_that_are_stuck_are_replaced() -> None:
    threads, answers = Threads(2, name="t"), threading.Event()
    idents: list[int] = []

    def stuck() -> None:
        idents.append(threading.get_ident())
        answers.wait(60)

    hung = [threads.submit(stuck) for _ in range(2)]
    queued = threads.submit(lambda: 7)
    while len(idents) < 2:
        assert not queued.done()
    threads.give_up(set(idents))
    assert 7 == queued.result(60)
    for future in hung:
        with pytest.raises(HungError):
            future.result(60)
    answers.set()
    threads.shutdown()


def test_jobs_of_threads_have_their_outcomes_and_end_at_the_shutdown() -> None:
    threads = Threads(3, name="t")
    futures = [threads.submit(divmod, number, number % 5) for number in range(50)]
    threads.shutdown()
    for number, future in enumerate(futures):
        if number % 5:
            assert divmod(number, number % 5) == future.result(0)
        else:
            with pytest.raises(ZeroDivisionError):
                future.result(0)
