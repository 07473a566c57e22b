"""The contract of a pool: every engine runs this class with its own `pool` and `space`."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable

import pytest

from s3server.data.base import Pool, Standing, UnavailableError
from s3server.errors import BadDigest
from s3server.model import DataRef
from tests.support.blobs import BytesSource, pattern

KIB, MIB = 1 << 10, 1 << 20
SIZES = [1, 4095, 4096, 4097, 65535, 65536, 65537, 131073, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]
LARGEST = 9 * MIB + 12345  # more than two of the largest buffers


async def stored(pool: Pool, data: bytes) -> DataRef:
    return await pool.write(BytesSource(data))


async def streamed(pool: Pool, ref: DataRef, start: int, stop: int) -> bytes:
    return b"".join([piece async for piece in pool.stream(ref, start, stop)])


async def cancel_write(pool: Pool, size: int, call: int) -> None:
    """Cancel a write while it waits for the source's n-th answer."""
    count = itertools.count(1)
    is_there = asyncio.Event()

    async def stop_at_the_call() -> None:
        if next(count) == call:
            is_there.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(pool.write(BytesSource(pattern(size), before_each=stop_at_the_call)))
    await is_there.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class PoolContract:
    """Subclasses give `pool`, and `space`: what is stored, as a list that grows with each blob.

    What a small blob leaves in a volume is not counted: compaction frees that.
    """

    @pytest.fixture
    def pool(self) -> Pool:
        raise NotImplementedError

    @pytest.fixture
    def space(self) -> Callable[[], list[str]]:
        raise NotImplementedError

    @pytest.mark.parametrize("size", [*SIZES, LARGEST])
    async def test_what_was_written_is_read(self, pool: Pool, size: int) -> None:
        data = pattern(size)
        source = BytesSource(data)
        ref = await pool.write(source)
        assert source.is_verified
        assert (ref.pool, ref.size, len(ref.blob)) == (pool.name, size, 16)
        assert await pool.read(ref, 0, size) == data
        assert await streamed(pool, ref, 0, size) == data

    async def test_ranges_across_every_boundary(self, pool: Pool) -> None:
        size = 3 * MIB + 7
        data = pattern(size)
        ref = await stored(pool, data)
        edges = [0, 4096, 64 * KIB, 256 * KIB, MIB // 3, 512 * KIB, MIB, 2 * MIB, 3 * MIB, size]
        near = sorted({edge + step for edge in edges for step in (-1, 0, 1)} & set(range(size + 1)))
        wrong = [
            (start, stop)
            for start, stop in itertools.combinations(near, 2)
            if await pool.read(ref, start, stop) != data[start:stop]
        ]
        assert wrong == []
        for start, stop in [(0, 1), (1, MIB), (MIB - 1, MIB + 1), (5, size - 5), (size - 1, size)]:
            assert await streamed(pool, ref, start, stop) == data[start:stop]

    async def test_ranges_of_a_small_blob(self, pool: Pool) -> None:
        data = pattern(5000)
        ref = await stored(pool, data)
        for start, stop in [(0, 1), (0, 5000), (4095, 4097), (4999, 5000), (17, 4500)]:
            assert await pool.read(ref, start, stop) == data[start:stop]
            assert await streamed(pool, ref, start, stop) == data[start:stop]

    async def test_small_blob_that_was_read_lately_is_at_hand(self, pool: Pool) -> None:
        data = pattern(5000)
        ref = await stored(pool, data)
        await pool.read(ref, 0, 5000)
        assert data == pool.read_now(ref)

    async def test_blobs_do_not_mix(self, pool: Pool) -> None:
        blobs = [pattern(size, seed=size) for size in (1, 700, 4096, 70_000, 65_536, MIB + 5) * 4]
        refs = await asyncio.gather(*(stored(pool, data) for data in blobs))
        assert len({ref.blob for ref in refs}) == len(blobs)
        assert [await pool.read(ref, 0, ref.size) for ref in refs] == blobs

    @pytest.mark.parametrize("size", [4096, 3 * MIB + 7, LARGEST])
    @pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
    async def test_source_that_fails_leaves_nothing(
        self, pool: Pool, space: Callable[[], list[str]], size: int, part: float
    ) -> None:
        before = space()
        with pytest.raises(BadDigest):
            await pool.write(BytesSource(pattern(size), fail_at=int(size * part)))
        assert space() == before

    @pytest.mark.parametrize("call", [1, 2])
    async def test_cancelled_write_leaves_nothing(
        self, pool: Pool, space: Callable[[], list[str]], call: int
    ) -> None:
        before = space()
        await cancel_write(pool, LARGEST, call)
        assert space() == before

    async def test_source_that_breaks_its_promise_of_length_is_refused(
        self, pool: Pool, space: Callable[[], list[str]]
    ) -> None:
        before = space()
        for size in (100, 200_000):
            for promised in (size - 1, size + 1):
                source = BytesSource(pattern(size))
                source.size = promised
                with pytest.raises(Exception, match="source gave"):
                    await pool.write(source)
        assert space() == before

    @pytest.mark.parametrize("size", [4096, 3 * MIB + 7])
    async def test_stream_closed_early_lets_go_of_its_files(self, pool: Pool, size: int) -> None:
        ref = await stored(pool, pattern(size))
        await pool.check(ref)  # opens what stays open
        before = set(os.listdir("/proc/self/fd"))
        stream = pool.stream(ref, 0, size)
        first = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert first == pattern(size)[: len(first)]
        assert set(os.listdir("/proc/self/fd")) <= before

    async def test_stream_survives_deletion(self, pool: Pool) -> None:
        data = pattern(3 * MIB + 7)
        ref = await stored(pool, data)
        stream = pool.stream(ref, 0, ref.size)
        pieces = [await anext(stream)]
        await pool.delete(ref)
        pieces += [piece async for piece in stream]
        assert b"".join(pieces) == data

    async def test_delete_frees_the_space_and_may_be_repeated(
        self, pool: Pool, space: Callable[[], list[str]]
    ) -> None:
        before = space()
        ref = await stored(pool, pattern(MIB + 1))
        assert len(space()) > len(before)
        await pool.delete(ref)
        await pool.delete(ref)
        assert space() == before
        with pytest.raises(UnavailableError):
            await pool.read(ref, 0, 1)
        with pytest.raises(UnavailableError):
            await streamed(pool, ref, 0, ref.size)

    @pytest.mark.parametrize("size", [1, 4096, 65_537, 3 * MIB + 7])
    async def test_check_of_a_whole_blob(self, pool: Pool, size: int) -> None:
        ref = await stored(pool, pattern(size))
        health = await pool.check(ref)
        assert health.shards == ("ok",) * len(ref.shards)
        assert health.is_whole
        assert health.is_readable

    async def test_check_of_a_deleted_blob(self, pool: Pool) -> None:
        ref = await stored(pool, pattern(MIB))
        await pool.delete(ref)
        health = await pool.check(ref)
        assert health.shards == ("missing",) * len(ref.shards)
        assert not health.is_readable

    @pytest.mark.parametrize("size", [1, 65_537, 3 * MIB + 7])
    async def test_light_check_sees_what_is_there(self, pool: Pool, size: int) -> None:
        ref = await stored(pool, pattern(size))
        assert (await pool.check(ref, deep=False)).is_whole

    @pytest.mark.parametrize("size", [1, 65_537, 3 * MIB + 7])
    @pytest.mark.parametrize("deep", [True, False])
    async def test_repair_of_a_whole_blob_changes_nothing(
        self, pool: Pool, space: Callable[[], list[str]], size: int, deep: bool
    ) -> None:
        ref = await stored(pool, pattern(size))
        before = space()
        assert await pool.repair(ref, deep=deep) == ref
        assert space() == before
        assert await pool.read(ref, 0, size) == pattern(size)

    async def test_repair_of_a_deleted_blob_is_refused(
        self, pool: Pool, space: Callable[[], list[str]]
    ) -> None:
        before = space()
        ref = await stored(pool, pattern(MIB))
        await pool.delete(ref)
        with pytest.raises(UnavailableError):
            await pool.repair(ref)
        assert space() == before

    async def test_what_was_just_written_is_where_it_should_be(self, pool: Pool) -> None:
        for size in (1, MIB):
            assert pool.standing(await stored(pool, pattern(size))) == Standing()

    async def test_pool_is_closed_twice(self, pool: Pool) -> None:
        await stored(pool, pattern(4_096))
        async with asyncio.timeout(60):
            await pool.close()
            await pool.close()
