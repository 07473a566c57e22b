"""Rows that are remembered are those of the newest snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from s3server.meta.base import Delete, Put
from s3server.meta.lmdb import LmdbStore
from s3server.meta.snapshot_rows import MOST_BYTES, MOST_ROWS, SnapshotRows


class Counting:
    """A transaction, and how many rows were read by it."""

    def __init__(self, txn: lmdb.Transaction[bytes]) -> None:
        self.txn, self.reads, self.id = txn, 0, txn.id

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.txn.get(key)


@pytest.fixture
def env(tmp_path: Path) -> Iterator[lmdb.Environment]:
    with lmdb.open(str(tmp_path / "env"), sync=False) as env:
        yield env


def put(env: lmdb.Environment, key: bytes, value: bytes) -> None:
    with env.begin(write=True) as txn:
        txn.put(key, value)


def test_row_of_one_snapshot_is_read_once(env: lmdb.Environment) -> None:
    put(env, b"k", b"1")
    rows: Any = SnapshotRows()
    reads = 0
    for _ in range(3):
        with env.begin() as txn:
            counting = Counting(txn)
            rows.see(counting)
            assert [b"1", None, b"1"] == [rows[b"k"], rows[b"absent"], rows[b"k"]]
            reads += counting.reads
    assert 2 == reads


def test_row_of_a_newer_snapshot_is_read_again(env: lmdb.Environment) -> None:
    rows: Any = SnapshotRows()
    for number in range(5):
        put(env, b"k", b"%d" % number)
        with env.begin() as txn:
            rows.see(txn)
            assert b"%d" % number == rows[b"k"]


def test_few_and_small_rows_are_remembered(env: lmdb.Environment) -> None:
    put(env, b"large", bytes(MOST_BYTES + 1))
    rows: Any = SnapshotRows()
    with env.begin() as txn:
        counting = Counting(txn)
        rows.see(counting)
        for number in range(3 * MOST_ROWS):
            assert rows[b"%d" % number] is None
            assert bytes(MOST_BYTES + 1) == rows[b"large"]
            assert len(rows) <= MOST_ROWS
        assert 6 * MOST_ROWS == counting.reads


async def test_each_commit_is_seen_by_the_reads_after_it(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
    try:
        for number in range(20):
            value = b"%d" % number
            await store.commit([Put(b"a", value), Put(b"b", value)])
            assert value == await store.get(b"a")
            assert [value, value] == await store.get_many([b"a", b"b"])
            assert [value, value] == store.look(lambda often, get: [often(b"b"), get(b"b")])
            await store.commit([Delete(b"a")])
            assert await store.get(b"a") is None
            assert [None, value] == await store.get_many([b"a", b"b"])
    finally:
        await store.close()
