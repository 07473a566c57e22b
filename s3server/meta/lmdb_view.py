"""One state of an LMDB store, whole; and a store made of such a state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import msgspec

from s3server.meta.base import Row, UnavailableError
from s3server.meta.journal_format import End
from s3server.meta.lmdb_files import JOURNAL, ROWS, SEQUENCE, open_environment

if TYPE_CHECKING:
    from lmdb import _Database

_ROWS_PER_TRANSACTION = 100_000


class LmdbView:
    """The rows of a store after commit `sequence`; `chain` is the seal of its journal's entry.

    Used by one thread at a time. Until it is closed LMDB reuses no page that it can see.
    """

    def __init__(self, env: lmdb.Environment, rows: _Database) -> None:
        """Use `LmdbStore.view()`."""
        main = env.open_db()
        try:
            self._txn = env.begin(rows)
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error
        counted, end = self._txn.get(SEQUENCE, db=main), self._txn.get(JOURNAL, db=main)
        assert counted is not None, "created with the environment"
        self.sequence = int.from_bytes(counted, "big")
        self.chain = msgspec.msgpack.decode(end, type=End).chain if end is not None else 0

    def rows(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[Row]:
        """Yield the rows of [start, stop) in the order of their keys; None: to the last."""
        cursor = self._txn.cursor()
        if not (cursor.set_range(start) if start else cursor.first()):
            return
        for key, value in cursor:
            if stop is not None and key >= stop:
                return
            yield key, value

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        return self._txn.get(key)

    def close(self) -> None:
        """Let go of the state. Idempotent."""
        self._txn.abort()


def write_store(path: Path, rows: Iterator[Row], sequence: int, end: End, *, map_size: int) -> int:
    """Make a store in the directory `path`, which is not there; return how many rows it has.

    `rows` come in the order of their keys. The directory is not durable before its parent is
    synced, and not whole before this returns.
    """
    env = open_environment(path, map_size=map_size, max_readers=126)
    count = 0
    try:
        table = env.open_db(ROWS, create=False)
        while some := list(islice(rows, _ROWS_PER_TRANSACTION)):
            with env.begin(table, write=True) as txn:
                txn.cursor().putmulti(some, append=True)
            count += len(some)
        with env.begin(write=True) as txn:
            txn.put(SEQUENCE, sequence.to_bytes(8, "big"))
            txn.put(JOURNAL, msgspec.msgpack.encode(end))
    except lmdb.Error as error:
        raise UnavailableError(f"{path} cannot be written: {error}") from error
    finally:
        env.close()
    return count
