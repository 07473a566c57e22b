"""Batches of commits become LMDB transactions; what happens when one fails."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import lmdb

from s3server.meta.ballast import Ballast, frees_space
from s3server.meta.base import FullError, MetadataError, UnavailableError
from s3server.meta.fold import Fold
from s3server.meta.group_commit import Outcome, Request
from s3server.meta.lmdb_files import SEQUENCE

if TYPE_CHECKING:
    from lmdb import _Database

_MDB_SHORT_WRITE = -30_772  # part of a page list fitted on the disk; py-lmdb has no class for it
_FULL = {errno.ENOSPC, errno.EDQUOT, _MDB_SHORT_WRITE}


class LmdbWriter:
    """Applies batches; used by the committer thread alone.

    `failure` is set by a transaction whose outcome is unknown. From then on everything is
    refused: what the disk holds can only be learnt by opening the environment again.
    """

    def __init__(
        self,
        env: lmdb.Environment,
        rows: _Database,
        ballast: Ballast,
        on_failure: Callable[[], None],
    ) -> None:
        self._env = env
        self._rows = rows
        self._main = env.open_db()
        self._ballast = ballast
        self._on_failure = on_failure
        self.failure: Exception | None = None

    def apply(self, batch: Sequence[Request]) -> list[Outcome]:
        """Return for each commit its sequence number, durable, or its error."""
        if self.failure is None:
            try:
                return self._apply(batch)
            except lmdb.Error as error:  # never retry a failed fsync: the second one may lie
                self.failure = error
                self._on_failure()
        return [UnavailableError(f"metadata commit failed: {self.failure}") for _ in batch]

    def _apply(self, batch: Sequence[Request]) -> list[Outcome]:
        if not self._ballast.is_released():
            try:
                return self._transact(batch)
            except lmdb.Error as error:
                self._raise_unless_full(error)
                if not isinstance(error, lmdb.MapFullError):
                    self._ballast.release()
        return self._apply_freeing(batch)

    def _apply_freeing(self, batch: Sequence[Request]) -> list[Outcome]:
        """Apply the commits that free space; no space for the others."""
        outcomes: list[Outcome] = [FullError("no space for metadata") for _ in batch]
        freeing = [index for index, request in enumerate(batch) if frees_space(request.writes)]
        try:
            results = self._transact([batch[index] for index in freeing])
        except lmdb.Error as error:
            self._raise_unless_full(error)
            return outcomes
        for index, result in zip(freeing, results, strict=True):
            outcomes[index] = result
        return outcomes

    def _raise_unless_full(self, error: lmdb.Error) -> None:
        """Return where there was no space and nothing was written; raise otherwise."""
        if not isinstance(error, lmdb.MapFullError) and error.code not in _FULL:
            raise error
        # Had it been the meta page, written last, that failed, LMDB would panic here.
        self._env.begin(write=True).abort()

    def _transact(self, batch: Sequence[Request]) -> list[Outcome]:
        """Fold the commits into one synced transaction. Raises lmdb.Error, nothing written."""
        outcomes: list[Outcome] = []
        with self._env.begin(self._rows, write=True) as txn:
            counted = txn.get(SEQUENCE, db=self._main)
            assert counted is not None, "created with the environment"
            before = int.from_bytes(counted, "big")
            fold = Fold(_View(txn), before)
            for request in batch:
                try:
                    outcomes.append(fold.commit(request.writes, request.checks))
                except MetadataError as error:
                    outcomes.append(error)
            if fold.sequence != before:
                _write(txn, fold)
                txn.put(SEQUENCE, fold.sequence.to_bytes(8, "big"), db=self._main)
        return outcomes


class _View:
    """The state before the transaction, as a Fold reads it."""

    def __init__(self, txn: lmdb.Transaction[bytes]) -> None:
        self._txn = txn
        self.get = txn.get

    def keys_from(self, start: bytes) -> Iterator[bytes]:
        cursor = self._txn.cursor()
        return cursor.iternext(values=False) if cursor.set_range(start) else iter(())


def _write(txn: lmdb.Transaction[bytes], fold: Fold) -> None:
    changes = sorted(fold.changes.items())  # neighbours share pages
    for key, value in changes:
        if value is None:
            txn.delete(key)
    txn.cursor().putmulti([(key, value) for key, value in changes if value is not None])
