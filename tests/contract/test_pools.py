"""Every kind of pool keeps the contract."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar

import pytest

from s3server.data.base import Pool
from s3server.data.memory import MemoryPool
from tests.contract.pool import LARGEST, PoolContract, cancel_write
from tests.support.blobs import (
    BytesSource,
    files_of,
    make_osds,
    make_pool,
    numbered_ids,
    pattern,
)


class TestMemoryPool(PoolContract):
    @pytest.fixture
    def pool(self) -> Pool:
        return MemoryPool("main", numbered_ids())

    @pytest.fixture
    def space(self, pool: MemoryPool) -> Callable[[], list[str]]:
        return lambda: ["blob"] * pool.blob_count


class PlacedPoolContract(PoolContract):
    codec: ClassVar[str]
    osd_count: ClassVar[int]

    @pytest.fixture
    async def pool(self, tmp_path: Path) -> AsyncIterator[Pool]:
        pool = make_pool(make_osds(tmp_path, self.osd_count), self.codec)
        yield pool
        await pool.close()

    @pytest.fixture
    def space(self, tmp_path: Path) -> Callable[[], list[str]]:
        return lambda: [name for name in files_of(tmp_path) if not name.endswith(".vol")]

    @pytest.mark.parametrize("call", [3, 4])
    async def test_write_cancelled_in_its_middle_leaves_nothing(
        self, pool: Pool, tmp_path: Path, call: int
    ) -> None:
        await cancel_write(pool, LARGEST, call)
        assert files_of(tmp_path) == []

    async def test_closed_pool_has_no_file_open(self, tmp_path: Path) -> None:
        pool = make_pool(make_osds(tmp_path, self.osd_count), self.codec)
        ref = await pool.write(BytesSource(pattern(5_000)))
        assert pattern(5_000) == await pool.read(ref, 0, ref.size)
        assert open_files(tmp_path)
        await pool.close()
        assert [] == open_files(tmp_path)

    async def test_write_into_a_closed_pool_fails_and_does_not_hang(self, tmp_path: Path) -> None:
        pool = make_pool(make_osds(tmp_path, self.osd_count), self.codec)
        await pool.write(BytesSource(pattern(5_000)))
        await pool.close()
        for size in (5_000, LARGEST):
            with pytest.raises(RuntimeError, match="shut down"):
                async with asyncio.timeout(60):
                    await pool.write(BytesSource(pattern(size)))


def open_files(root: Path) -> list[str]:
    """Return which files below a directory this process has open."""
    found = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return [path for path in found if path.startswith(f"{root}/")]


class TestReplicaPool(PlacedPoolContract):
    codec, osd_count = "replica:3", 3


class TestErasurePool(PlacedPoolContract):
    codec, osd_count = "ec:4+2", 6


class TestSmallErasurePool(PlacedPoolContract):
    codec, osd_count = "ec:2+1", 3
