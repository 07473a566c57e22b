"""A full disk: puts fail, deletes work, nothing is lost, and room ends it without a restart.

Needs root, for a small file system of its own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from s3server.meta.base import Add, Append, Delete, FullError, Put
from s3server.meta.lmdb import LmdbStore

MIB = 1 << 20


def mounted(kind: str, directory: Path) -> bool:
    """Mount a file system of about 16 MiB on the directory."""
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", directory]
    else:
        image = directory.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(24 * MIB)
        made = subprocess.run([f"mkfs.{kind}", "-q", image], check=False, capture_output=True)
        if made.returncode != 0:
            return False
        command = ["mount", "-o", "loop", image, directory]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    directory.mkdir()
    if os.geteuid() != 0 or not mounted(request.param, directory):
        pytest.skip(f"cannot mount a small {request.param} here")
    yield directory
    subprocess.run(["umount", directory], check=True)


@pytest.fixture
async def store(disk: Path) -> AsyncIterator[LmdbStore]:
    store = LmdbStore.open(disk / "meta", map_size=1 << 30, ballast_bytes=4 * MIB)
    yield store
    await store.close()


def occupy(disk: Path) -> Path:
    """Take all the space that is left, as another tenant of the disk would."""
    other = disk / "other"
    with other.open("wb", buffering=0) as file:
        for size in (MIB, 4_096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return other


async def put_until_full(store: LmdbStore, size: int = 4_200) -> list[bytes]:
    """Put rows of `size` bytes until the first FullError; return the acknowledged keys."""
    keys: list[bytes] = []
    while True:
        key = b"k%06d" % len(keys)
        try:
            await store.commit([Put(key, key * (size // 7))])
        except FullError:
            return keys
        keys.append(key)


async def test_full_disk_refuses_puts_and_lets_deletes_through(
    store: LmdbStore, disk: Path
) -> None:
    await store.commit([Put(b"first", b"1"), Add(b"n", 1)])
    occupy(disk)
    keys = await put_until_full(store)
    assert store.is_full
    outcomes = await asyncio.gather(
        store.commit([Put(b"ordinary", b"1")]),
        store.commit([Delete(b"first"), Append(b"G", b"garbage"), Add(b"n", -1)]),
        store.commit([Add(b"n", 1)]),
        return_exceptions=True,
    )
    assert [FullError, int, FullError] == [type(outcome) for outcome in outcomes]
    assert store.failure is None
    assert [None, bytes(8), None] == await store.get_many([b"first", b"n", b"ordinary"])
    assert [key * 600 for key in keys] == await store.get_many(keys)


async def test_every_row_can_be_deleted_on_a_full_disk(store: LmdbStore, disk: Path) -> None:
    await store.commit([Put(b"r%04d" % number, bytes(1_000)) for number in range(300)])
    occupy(disk)
    await put_until_full(store)
    rows = await store.scan(b"", b"\xff", limit=10_000)
    for key, _ in rows:
        await store.commit([Delete(key)])
    assert [] == await store.scan(b"", b"\xff", limit=1)


async def test_batch_of_puts_on_full_disk_fails_whole_and_data_stays(
    store: LmdbStore, disk: Path
) -> None:
    await store.commit([Put(b"kept", b"1")])
    occupy(disk)
    outcomes = await asyncio.gather(
        *(store.commit([Put(b"big%d" % number, bytes(2 * MIB))]) for number in range(4)),
        return_exceptions=True,
    )
    assert {FullError} == {type(outcome) for outcome in outcomes}
    assert [(b"kept", b"1")] == await store.scan(b"", b"\xff", limit=10)


async def test_puts_work_again_once_there_is_room(store: LmdbStore, disk: Path) -> None:
    other = occupy(disk)
    await put_until_full(store)
    rows = await store.scan(b"", b"\xff", limit=10_000)
    other.unlink()
    await store.tidy()
    assert not store.is_full
    await store.commit([Put(b"again", b"1")])
    assert [(b"again", b"1"), *rows] == await store.scan(b"", b"\xff", limit=10_001)


async def test_store_that_filled_its_disk_recovers_by_deletes_alone(
    store: LmdbStore, disk: Path
) -> None:
    """LMDB's file never shrinks: the freed pages inside it have to be enough."""
    keys = await put_until_full(store, size=100_000)
    assert len(keys) > 80
    for key in keys:
        await store.commit([Delete(key)])
    await store.tidy()
    assert not store.is_full
    await store.commit([Put(b"again", b"1")])
    assert [(b"again", b"1")] == await store.scan(b"", b"\xff", limit=10)


async def test_full_disk_can_be_reopened(disk: Path) -> None:
    store = LmdbStore.open(disk / "meta", map_size=1 << 30, ballast_bytes=4 * MIB)
    await store.commit([Put(b"k", b"1"), Put(b"l", b"1")])
    occupy(disk)
    await put_until_full(store)
    await store.close()
    occupy(disk)
    store = LmdbStore.open(disk / "meta", map_size=1 << 30, ballast_bytes=4 * MIB)
    assert store.is_full
    assert b"1" == await store.get(b"k")
    with pytest.raises(FullError):
        await store.commit([Put(b"m", b"1")])
    await store.close()


async def test_full_map_refuses_puts_and_keeps_the_ballast(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "meta", map_size=MIB, ballast_bytes=MIB)
    keys = await put_until_full(store)
    assert not store.is_full
    await store.commit([Delete(keys[0])])
    assert keys[1:] == [key for key, _ in await store.scan(b"", b"\xff", limit=10_000)]
    await store.close()
