"""How much space an upload takes before its bytes are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3server.core.clock import Ids, SystemClock
from s3server.data.codec import Replicate
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.shardfiles import RESERVED
from s3server.data.vfs import Vfs
from tests.support.blobs import in_turn

GIB = 1 << 30


class Watched(Vfs):
    """Remembers how much space was reserved and which files were created."""

    def __init__(self) -> None:
        super().__init__()
        self.reserved: list[int] = []
        self.created: list[str] = []

    def create(self, path: str, *, direct: bool = False) -> int:
        self.created.append(path)
        return super().create(path, direct=direct)

    def allocate(self, fd: int, size: int) -> None:
        self.reserved.append(size)
        super().allocate(fd, size)


class Stalled:
    """A source that promises much, gives some buffers, and is gone."""

    def __init__(self, size: int, buffers: int) -> None:
        self.size = size
        self._left = buffers

    async def readinto(self, buffer: memoryview) -> int:
        if not self._left:
            raise ConnectionError("the client is gone")
        self._left -= 1
        return len(buffer)


@pytest.fixture
def vfs() -> Watched:
    return Watched()


@pytest.fixture
def pool(tmp_path: Path, vfs: Watched) -> PlacedPool:
    osd = DirectoryOsd.initialise(str(tmp_path / "osd"), cluster="c", osd=0, vfs=vfs)
    vfs.created.clear()
    return PlacedPool(
        "default", Replicate(1), OsdSet({0: osd}), in_turn([0], 1), Ids(SystemClock()).blob_id
    )


async def test_promise_alone_takes_no_space(pool: PlacedPool, vfs: Watched) -> None:
    with pytest.raises(ConnectionError):
        await pool.write(Stalled(5 * GIB, 0))
    assert ([], []) == (vfs.created, vfs.reserved)


async def test_space_is_reserved_as_bytes_come(pool: PlacedPool, vfs: Watched) -> None:
    with pytest.raises(ConnectionError):
        await pool.write(Stalled(5 * GIB, 3))
    assert vfs.reserved == [RESERVED]


async def test_reservation_goes_ahead_of_a_long_upload(pool: PlacedPool, vfs: Watched) -> None:
    with pytest.raises(ConnectionError):
        await pool.write(Stalled(5 * GIB, 40))
    assert vfs.reserved[0] == RESERVED
    assert RESERVED < vfs.reserved[-1] < 3 * RESERVED
