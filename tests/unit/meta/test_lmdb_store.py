"""What is particular to LMDB: files, formats, several processes, failures."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import lmdb
import pytest

from s3server.meta.base import Put, UnavailableError
from s3server.meta.lmdb import LmdbStore

ROOT = Path(__file__).parents[3]


def process(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that works on the store at `path`."""
    return subprocess.Popen(
        [sys.executable, ROOT / "tests/support/metadata_process.py", path, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LmdbStore]:
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    yield store
    await store.close()


@pytest.fixture
def other(store: LmdbStore, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that serves the same store."""
    with process(tmp_path / "meta", "serve") as child:
        yield child
        child.communicate("", timeout=60)


async def ask(child: subprocess.Popen[str], line: str) -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()
    return (await asyncio.to_thread(child.stdout.readline)).strip()


# --- files --------------------------------------------------------------------------------------


async def test_reopened_store_keeps_rows_and_sequence(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    sequence = await store.commit([Put(b"k", b"1")])
    await store.close()
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    assert b"1" == await store.get(b"k")
    assert sequence + 1 == await store.commit([])
    await store.close()


async def test_commits_overwrite_what_was_written_ahead(store: LmdbStore, tmp_path: Path) -> None:
    sizes = []
    for number in range(200):
        await store.commit([Put(b"%d-%d" % (number % 7, number), bytes(200))])
        sizes.append((tmp_path / "meta" / "data.mdb").stat().st_size)
    assert 1 == len(set(sizes))
    await store.commit([Put(b"%d" % number, bytes(100_000)) for number in range(60)])  # beyond it
    await store.commit([Put(b"k", b"1")])
    found = (tmp_path / "meta" / "data.mdb").stat()
    assert found.st_size > sizes[0]
    assert found.st_blocks * 512 >= found.st_size  # no holes: really written
    assert bytes(100_000) == await store.get(b"59")


async def test_store_is_created_in_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    assert 1 == await store.commit([])
    await store.close()


async def test_what_a_dead_creator_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "meta.new").mkdir()
    (tmp_path / "meta.new" / "data.mdb").write_bytes(b"half written")
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    assert 1 == await store.commit([])
    await store.close()
    assert not (tmp_path / "meta.new").exists()


def test_directory_that_lost_its_data_is_refused(tmp_path: Path) -> None:
    """Creating an empty store there would show every bucket as missing."""
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "lock.mdb").write_bytes(b"")
    with pytest.raises(UnavailableError, match=r"has no data\.mdb"):
        LmdbStore.open(tmp_path / "meta")
    assert ["lock.mdb"] == [entry.name for entry in (tmp_path / "meta").iterdir()]


def test_file_of_lmdb_0_9_is_refused(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "meta"), lib_version=0) as old, old.begin(write=True) as txn:
        txn.put(b"k", b"kept")
    with pytest.raises(UnavailableError, match=r"is no file of LMDB 1\.0; those of 0\.9 cannot"):
        LmdbStore.open(tmp_path / "meta")
    with lmdb.open(str(tmp_path / "meta"), lib_version=0) as old, old.begin() as txn:
        assert b"kept" == txn.get(b"k")


@pytest.mark.parametrize("content", [b"", b"no database " * 1_000])
def test_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "data.mdb").write_bytes(content)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"is no file of LMDB|cannot open"):
            LmdbStore.open(tmp_path / "meta")


async def test_second_store_in_one_process_is_refused(store: LmdbStore, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="already open"):
        LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    assert 1 == await store.commit([])


async def test_files_are_for_their_owner_only(store: LmdbStore, tmp_path: Path) -> None:
    meta = tmp_path / "meta"
    assert 0o700 == meta.stat().st_mode & 0o777
    assert 0o600 == (meta / "data.mdb").stat().st_mode & 0o777


async def test_reader_table_has_no_holes(store: LmdbStore, tmp_path: Path) -> None:
    """A hole in a mapped file ends in SIGBUS when the disk is full."""
    status = (tmp_path / "meta" / "lock.mdb").stat()
    assert status.st_size > 1_024 * 64
    assert status.st_blocks * 512 >= status.st_size


# --- closing and failing --------------------------------------------------------------------------


async def test_close_applies_what_waits(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    commits = [asyncio.create_task(store.commit([Put(b"%d" % n, b"")])) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert list(range(1, 51)) == sorted(await asyncio.gather(*commits))


async def test_closed_store_is_unavailable(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    await store.close()
    await store.close()
    with pytest.raises(UnavailableError):
        await store.commit([Put(b"k", b"")])
    with pytest.raises(UnavailableError):
        await store.get(b"k")
    with pytest.raises(UnavailableError):
        await store.get_many([b"k"])
    with pytest.raises(UnavailableError):
        await store.scan(b"a", b"z", limit=1)
    with pytest.raises(UnavailableError):
        await store.tidy()


async def test_failed_transaction_refuses_all_further_commits(tmp_path: Path) -> None:
    """The environment vanishes under the committer: what became of the commit is unknown."""
    failed = threading.Event()
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0, on_failure=failed.set)
    await store.commit([Put(b"k", b"")])
    assert store.failure is None
    store._env.close()
    with pytest.raises(UnavailableError, match="commit failed"):
        await store.commit([Put(b"l", b"")])
    assert failed.is_set()
    assert isinstance(store.failure, lmdb.Error)
    with pytest.raises(UnavailableError, match="commit failed"):
        await store.commit([])
    await store.close()


# --- several processes ----------------------------------------------------------------------------


async def test_processes_see_each_others_commits_at_once(
    store: LmdbStore, other: subprocess.Popen[str]
) -> None:
    for number in range(20):
        value = str(number)
        ours = await store.commit([Put(b"ours", value.encode())])
        assert value == await ask(other, "get ours")
        assert str(ours + 1) == await ask(other, f"put theirs {value}")
        assert value.encode() == await store.get(b"theirs")


async def test_sequence_numbers_of_processes_never_collide(tmp_path: Path) -> None:
    """Two processes race to create the store as well."""
    children = [process(tmp_path / "meta", "append", "300") for _ in range(2)]
    numbers: list[int] = []
    for child in children:
        output, _ = await asyncio.to_thread(child.communicate, timeout=60)
        *lines, last = output.split()
        assert "done" == last
        numbers += [int(line) for line in lines]
    assert list(range(1, 601)) == sorted(numbers)
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    rows = await store.scan(b"E", b"F", limit=1_000)
    await store.close()
    assert list(range(1, 601)) == [int.from_bytes(key[1:9], "big") for key, _ in rows]


async def test_process_killed_inside_transaction_blocks_nobody(
    store: LmdbStore, tmp_path: Path
) -> None:
    await store.commit([Put(b"k", b"1")])
    with process(tmp_path / "meta", "hold") as child:
        assert child.stdout is not None
        assert "held\n" == await asyncio.to_thread(child.stdout.readline)
        commit = asyncio.create_task(store.commit([Put(b"k", b"2")]))
        child.kill()
        assert 2 == await asyncio.wait_for(commit, 60)
    assert b"2" == await store.get(b"k")
    await store.tidy()
