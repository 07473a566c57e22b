"""How far an upload reads ahead of its disks, and that its bytes keep their order."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from s3server.data.placed import FEW_UPLOADS, LARGE_BUFFER
from s3server.data.vfs import Buffer, Vfs
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
        assert self.gate.wait(10)
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
    async with asyncio.timeout(10):
        while asked < ahead:
            await asyncio.sleep(0.001)
    await asyncio.sleep(READS)
    assert asked == ahead
    vfs.gate.set()
    assert data == await collect(pool, await writing)
    await pool.close()
