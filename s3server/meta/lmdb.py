"""The metadata engine for one machine: LMDB 1.0, shared by several processes.

Reads run inline on the event loop: a lock-free snapshot and a walk through mapped pages, about
a microsecond. Commits go to one thread per process, which folds all that wait into one synced
transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import lmdb

from s3server.meta.ballast import Ballast
from s3server.meta.base import (
    Append,
    Check,
    Get,
    Range,
    Row,
    UnavailableError,
    Write,
    check_key,
    check_keys,
)
from s3server.meta.group_commit import GroupCommit
from s3server.meta.journal import Journal
from s3server.meta.lmdb_files import ROWS, open_environment
from s3server.meta.lmdb_view import LmdbView
from s3server.meta.lmdb_writer import LmdbWriter
from s3server.meta.snapshot_rows import SnapshotRows

if TYPE_CHECKING:
    from lmdb import _Database

T = TypeVar("T")


class LmdbStore:
    """A MetadataStore in a directory. Belongs to one process and one event loop.

    Open it after the process is spawned, never before a fork, and once per process.
    """

    def __init__(
        self,
        env: lmdb.Environment,
        rows: _Database,
        ballast: Ballast,
        on_failure: Callable[[], None],
    ) -> None:
        """Use `open()`."""
        self._env = env
        self._rows = rows
        self._ballast = ballast
        self._writer = LmdbWriter(env, rows, ballast, on_failure)
        self._commits = GroupCommit(self._writer.apply)
        self._told: list[tuple[bytes, Callable[[], None]]] = []
        self._seen = SnapshotRows()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        map_size: int = 1 << 40,
        max_readers: int = 1_024,
        ballast_bytes: int = 64 << 20,
        on_failure: Callable[[], None] = lambda: None,
    ) -> LmdbStore:
        """Open the store in the directory `path`, creating it where nothing is there.

        `map_size` bounds the store, in bytes of address space; it uses no disk. `on_failure` is
        called once, in the committer's thread, when `failure` is set.
        Raises UnavailableError where the files cannot be used, OSError from the file system.
        """
        path = Path(path)
        env = open_environment(path, map_size=map_size, max_readers=max_readers)
        try:
            env.reader_check()
            rows = env.open_db(ROWS, create=False)
        except lmdb.Error as error:
            env.close()
            raise UnavailableError(f"cannot open {path}: {error}") from error
        ballast = Ballast(path / "ballast", ballast_bytes)
        ballast.restore()
        return cls(env, rows, ballast, on_failure)

    @property
    def failure(self) -> Exception | None:
        """Why commits are refused for good: the process has to exit and be started again."""
        return self._writer.failure

    @property
    def is_full(self) -> bool:
        """Whether the last commit, or tidy(), found that only commits that free space are taken."""
        journal = self._writer.journal
        return self._ballast.was_released or (journal is not None and journal.is_full)

    @property
    def is_journalled(self) -> bool:
        """Whether the store has a journal; then every commit needs it."""
        return self._writer.end() is not None

    def attach(self, journal: Journal) -> None:
        """Begin or take up the journal: commits are in it from now on. Blocks.

        What it has beyond the store is replayed first: the last batch of a process that died, or
        all that a store misses that is an old copy. Raises UnavailableError, FullError.
        """
        self._writer.attach(journal)

    async def get(self, key: bytes) -> bytes | None:
        check_key(key)
        try:
            with self._env.begin(self._rows) as txn:
                self._seen.see(txn)
                return self._seen[key]
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error

    def look(self, read: Callable[[Get, Get], T]) -> T:
        try:
            with self._env.begin(self._rows) as txn:
                self._seen.see(txn)
                return read(self._seen.__getitem__, txn.get)
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        for key in keys:
            check_key(key)
        try:
            with self._env.begin(self._rows) as txn:
                self._seen.see(txn)
                return [self._seen[key] for key in keys]
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Row]:
        if limit <= 0 or start >= stop:
            return []
        try:
            with self._env.begin(self._rows) as txn:
                walk = _backwards if reverse else _forwards
                return walk(txn.cursor(), start, stop, limit)
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error

    async def scan_many(self, ranges: Sequence[Range], *, limit: int) -> list[list[Row]]:
        if limit <= 0:
            return [[] for _ in ranges]
        try:
            with self._env.begin(self._rows) as txn:
                return [_forwards(txn.cursor(), start, stop, limit) for start, stop in ranges]
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        check_keys(writes, checks)
        sequence = await self._commits.submit(writes, checks)
        for prefix, tell in self._told:
            if any(type(each) is Append and each.prefix.startswith(prefix) for each in writes):
                tell()
        return sequence

    def tell_of(self, prefix: bytes, tell: Callable[[], None]) -> None:
        """Call `tell` after each commit made here that appends rows under a prefix."""
        self._told.append((prefix, tell))

    async def tidy(self) -> None:
        """Free reader slots of dead processes, restore the ballast and copies of the journal.

        Call each minute.
        """
        await asyncio.to_thread(self._tidy)

    def view(self) -> LmdbView:
        """Return the store as it is now, to be read row by row. Close it soon: it keeps space."""
        return LmdbView(self._env, self._rows)

    @property
    def journal(self) -> Journal | None:
        """The journal that is attached."""
        return self._writer.journal

    async def close(self) -> None:
        """Apply all commits that wait, then close. Idempotent."""
        await self._commits.close()
        self._writer.close()
        self._env.close()

    def _tidy(self) -> None:
        try:
            self._env.reader_check()
        except lmdb.Error as error:
            raise UnavailableError(f"reader slots cannot be checked: {error}") from error
        self._ballast.restore()
        self._writer.tidy()


def _forwards(cursor: lmdb.Cursor[bytes], start: bytes, stop: bytes, limit: int) -> list[Row]:
    rows: list[Row] = []
    if not cursor.set_range(start):
        return rows
    for row in cursor:
        if row[0] >= stop:
            break
        rows.append(row)
        if len(rows) == limit:
            break
    return rows


def _backwards(cursor: lmdb.Cursor[bytes], start: bytes, stop: bytes, limit: int) -> list[Row]:
    rows: list[Row] = []
    found = cursor.prev() if cursor.set_range(stop) else cursor.last()
    if not found:
        return rows
    for row in cursor.iterprev():
        if row[0] < start:
            break
        rows.append(row)
        if len(rows) == limit:
            break
    return rows
