"""How far an upload reads ahead of its disks, and that its bytes keep their order."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from s3server.data.buffers import MIB, BufferPool
from s3server.data.codec import codec_from_name
from s3server.data.layout import BLOCK
from s3server.data.osd_set import OsdSet
from s3server.data.placed import FEW_UPLOADS, LARGE_BUFFER
from s3server.data.spread import Spread
from s3server.data.upload import BlobUpload
from s3server.data.vfs import Buffer, Vfs
from s3server.data.workers import Fanout
from s3server.model import DataRef
from tests.support.blobs import BytesSource, collect, make_osds, make_pool, pattern

SIZE = 6 * LARGE_BUFFER + 12_345
READS = 0.1  # seconds in which an upload would have asked for more


class Gated(Vfs):
    """A disk that takes a write once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        assert self.gate.wait(60)
        return super().pwrite(fd, data, offset)


@pytest.mark.parametrize(("others", "ahead"), [(0, 3), (FEW_UPLOADS, 2)])
async def test_upload_reads_as_far_ahead_as_it_has_buffers(
    tmp_path: Path, others: int, ahead: int
) -> None:
    vfs, asked = Gated(), 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    pool = make_pool(make_osds(tmp_path, 3, vfs), "replica:3")
    pool._uploads = others
    vfs.gate.clear()
    data = pattern(SIZE)
    writing = asyncio.create_task(pool.write(BytesSource(data, before_each=count)))
    async with asyncio.timeout(60):
        while asked < ahead:
            await asyncio.sleep(0.001)
    await asyncio.sleep(READS)
    assert asked == ahead
    vfs.gate.set()
    assert data == await collect(pool, await writing)
    await pool.close()


async def test_few_uploads_that_wait_for_the_disks_hold_up_no_reader(tmp_path: Path) -> None:
    vfs = Gated()
    pool = make_pool(make_osds(tmp_path, 3, vfs), "replica:3")
    data = pattern(2 * LARGE_BUFFER)  # one piece is written, and one waits
    there = await pool.write(BytesSource(data))
    vfs.gate.clear()
    uploads = [asyncio.create_task(pool.write(BytesSource(data))) for _ in range(FEW_UPLOADS)]
    async with asyncio.timeout(60):
        while len(pool._workers._executor._running) < 2 * FEW_UPLOADS:
            await asyncio.sleep(0.001)
        assert data == await collect(pool, there)
    vfs.gate.set()
    await asyncio.gather(*uploads)
    await pool.close()


async def test_pieces_are_written_in_their_order_whichever_thread_comes_first(
    tmp_path: Path,
) -> None:
    """Two threads may wait for the disks at once, and neither knows who is to go first."""
    vfs = Gated()
    directories = make_osds(tmp_path, 3, vfs)
    osds = OsdSet({osd.id: osd for osd in directories.values()})
    blob, codec, data = bytes(16), codec_from_name("replica:3"), pattern(4 * BLOCK)
    spread = Spread(blob, osds, lambda _blob, _avoid: [0, 1, 2], count=3, least=2)
    fanout, buffers = Fanout(osds=osds, in_turn=False), BufferPool()
    upload = BlobUpload(
        spread, osds, codec=codec, blob=blob, size=len(data), stripe=MIB, fanout=fanout,
        buffers=buffers,
    )  # fmt: skip
    upload.open()
    vfs.gate.clear()
    pieces = [buffers.take(BLOCK) for _ in range(4)]
    for number, piece in enumerate(pieces):
        piece[:] = data[number * BLOCK : (number + 1) * BLOCK]
        upload.offer(memoryview(piece), BLOCK)
    threads = [threading.Thread(target=upload.append) for _ in pieces]
    for thread in reversed(threads):
        thread.start()
    vfs.gate.set()
    for thread in threads:
        thread.join()
    upload.commit()
    fanout.close()
    ref = DataRef("main", codec.name, blob, len(data), MIB, spread.shards(upload.places))
    pool = make_pool(directories, "replica:3")
    assert data == await collect(pool, ref)
    await pool.close()
