"""Batches of commits become LMDB transactions; what happens when one fails.

A batch is written to the journal within its transaction, as the last thing before LMDB commits.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lmdb
import msgspec
import structlog

from s3server.meta.ballast import Ballast, frees_space
from s3server.meta.base import FullError, MetadataError, UnavailableError
from s3server.meta.fold import Fold
from s3server.meta.group_commit import Batch, Outcome
from s3server.meta.journal import Journal
from s3server.meta.journal_files import CopiesError
from s3server.meta.journal_format import Change, End, Entry, pack_entry
from s3server.meta.lmdb_files import JOURNAL, SEQUENCE, Growth

if TYPE_CHECKING:
    from lmdb import _Database

_MDB_SHORT_WRITE = -30_772  # part of a page list fitted on the disk; py-lmdb has no class for it
_FULL = {errno.ENOSPC, errno.EDQUOT, _MDB_SHORT_WRITE}

_log = structlog.get_logger("metadata")
_encode_end = msgspec.msgpack.Encoder().encode
decode_end = msgspec.msgpack.Decoder(End).decode


class Tried(NamedTuple):
    """An entry that was written to some copies at least, while LMDB did not commit it."""

    end: End  # where it was written
    before: int  # the commit that it follows
    after: End  # where the journal ends if it counts


class _NoRoomError(Exception):
    """The batch does not fit into the journal's segment; nothing was written."""

    def __init__(self, end: End, need: int) -> None:
        super().__init__()
        self.end, self.need = end, need


class LmdbWriter:
    """Applies batches; used by the committer thread, and by the one that tidies.

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
        self._growth = Growth(Path(env.path()))
        self._rows = rows
        self._main = env.open_db()
        self._page_size = env.stat()["psize"]
        self._ballast = ballast
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._tried: Tried | None = None  # what this process wrote last, if it was not committed
        self.journal: Journal | None = None
        self.failure: Exception | None = None

    def apply(self, batch: Batch) -> list[Outcome]:
        """Return for each commit its sequence number, durable, or its error."""
        with self._lock:
            if self.failure is None:
                try:
                    return self._apply(batch)
                except lmdb.Error as error:  # never retry a failed fsync: the second one may lie
                    self.failure = error
                    self._on_failure()
                except MetadataError as error:
                    return [error] * len(batch)
        return [UnavailableError(f"metadata commit failed: {self.failure}") for _ in batch]

    def close(self) -> None:
        """Close what is not LMDB's."""
        self._growth.close()

    def end(self) -> End | None:
        """Return where the store's journal ends; None where it has none."""
        with self._env.begin() as txn:
            return self._end(txn)

    def attach(self, journal: Journal) -> None:
        """Journal everything from now on; replay what the journal has beyond the store.

        The journal of a store that has none is begun. Raises UnavailableError, FullError.
        """
        with self._lock:
            self.journal = journal
            try:
                with self._env.begin(write=True) as txn:
                    end = self._end(txn)
                    if end is None:
                        need = SMALLEST_NEED
                        self._put_end(txn, journal.begin(None, self._sequence(txn), need=need))
            except lmdb.Error as error:
                raise UnavailableError(f"the journal cannot be begun: {error}") from error
            if end is not None:
                self._replay()

    def tidy(self) -> None:
        """Replay what a process that died has left, and have as many copies as there should be.

        Raises UnavailableError, FullError.
        """
        if self.journal is None or self.failure is not None:
            return
        with self._lock:
            self._replay()
            end, _ = self._look()
            if self.journal.is_full or self.journal.wants_another(end):
                self._begin_segment(end, SMALLEST_NEED)

    def _apply(self, batch: Batch) -> list[Outcome]:
        if not self._ballast.is_released() and not (self.journal and self.journal.is_full):
            try:
                return self._transact(batch)
            except FullError:  # of the journal: nothing was written
                pass
            except lmdb.Error as error:
                self._raise_unless_full(error)
                if not isinstance(error, lmdb.MapFullError):
                    self._ballast.release()
        return self._apply_freeing(batch)

    def _apply_freeing(self, batch: Batch) -> list[Outcome]:
        """Apply the commits that free space; no space for the others."""
        outcomes: list[Outcome] = [FullError("no space for metadata") for _ in batch]
        freeing = [index for index, request in enumerate(batch) if frees_space(request.writes)]
        try:
            results = self._transact(Batch(batch[index] for index in freeing), reserve=True)
        except FullError:
            return outcomes
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
        with self._env.begin(write=True) as txn:
            if self.journal is not None:
                # Whoever is told that nothing was written frees the bytes: no replay after that.
                self.journal.void(self._unmoved(txn))

    def _transact(self, batch: Batch, *, reserve: bool = False) -> list[Outcome]:
        """Fold the commits into one synced transaction.

        Raises lmdb.Error, FullError where nothing was written, UnavailableError.
        """
        while True:
            try:
                return self._try(batch, reserve)
            except _NoRoomError as full:
                self._begin_segment(full.end, full.need, reserve=reserve)
            except CopiesError as failed:
                self._leave_segment(failed)

    def _unmoved(self, txn: lmdb.Transaction[bytes]) -> End:
        """Return the journal's end, where what this process wrote last is not part of it.

        Another process may have gone on meanwhile: without that entry, which then never counts, or
        from it, as it may have replayed it. Raises UnavailableError where it cannot be ruled out.
        """
        end, tried = self._end(txn), self._tried
        if end is None:
            raise UnavailableError("a commit failed, and the journal has no end")
        if tried is not None and end != tried.end:
            assert self.journal is not None
            followed = next(self.journal.tail(tried.end, tried.before), None)
            if followed is None or followed.seal == tried.after.chain or end == tried.after:
                raise UnavailableError("a commit failed, and another process went on after it")
        return end

    def _try(self, batch: Batch, reserve: bool, *, is_empty: bool = False) -> list[Outcome]:
        """`is_empty`: commit nothing, under a sequence number of its own."""
        outcomes: list[Outcome] = []
        self._tried = None
        with self._env.begin(self._rows, write=True) as txn:
            batch.grow()  # other processes had their turn meanwhile
            before = self._sequence(txn)
            fold = Fold(_View(txn), before)
            for request in batch:
                try:
                    outcomes.append(fold.commit(request.writes, request.checks))
                except MetadataError as error:
                    outcomes.append(error)
            if is_empty:
                fold.commit((), ())
            if fold.sequence != before:
                changes = sorted(fold.changes.items())  # neighbours share pages
                if not reserve:  # what the ballast gave back is for deletes, and for the next one
                    self._growth.keep_ahead(self._env.info()["last_pgno"] * self._page_size)
                _write(txn, changes)
                txn.put(SEQUENCE, fold.sequence.to_bytes(8, "big"), db=self._main)
                self._journal(txn, before, fold.sequence, changes, reserve)
        return outcomes

    def _journal(
        self,
        txn: lmdb.Transaction[bytes],
        before: int,
        last: int,
        changes: Sequence[Change],
        reserve: bool,
    ) -> None:
        """Write a batch to the journal: durable in all copies, and after all else that may fail."""
        end = self._end(txn)
        if end is None:
            return
        if self.journal is None:
            raise UnavailableError("this store has a journal, which has to be opened with it")
        pieces, after = pack_entry(end, before, last, changes)
        size = sum(len(piece) for piece in pieces)
        if not self.journal.has_room(end, size, reserve=reserve):
            raise _NoRoomError(end, size)
        self._put_end(txn, after)
        self.journal.prepare(end)  # where that fails, others may go on: nothing was written
        self._tried = Tried(end, before, after)
        self.journal.write(end, pieces)

    def _begin_segment(self, end: End, need: int, *, reserve: bool = False) -> None:
        """Begin a segment unless another process was faster; see Journal.begin()."""
        assert self.journal is not None
        with self._env.begin(write=True) as txn:
            found = self._end(txn)
            if found is not None and found.segment == end.segment:
                begun = self.journal.begin(found, self._sequence(txn), need=need, reserve=reserve)
                self._put_end(txn, begun)

    def _leave_segment(self, failed: CopiesError) -> None:
        """Go on in a new segment, on other OSDs, and cut off what may be at the old one's end.

        It takes an entry, an empty one, for the new segment to count.
        """
        assert self.journal is not None
        try:
            with self._env.begin(write=True) as txn:
                end, sequence = self._unmoved(txn), self._sequence(txn)
                if failed.errors.keys().isdisjoint(end.osds):
                    return  # another process was faster
                self._put_end(
                    txn, self.journal.begin(end, sequence, need=SMALLEST_NEED, reserve=True)
                )
            self._try(Batch(), reserve=True, is_empty=True)
        except CopiesError as error:  # another OSD failed: each does so once, then it is a suspect
            self._leave_segment(error)
        except (FullError, _NoRoomError) as error:
            raise UnavailableError(f"the journal failed: {failed}; {error}") from error

    def _replay(self) -> None:
        """Apply what the journal has beyond the store: a commit of which LMDB has no trace.

        The process that wrote the last of these entries may have died before all copies had it.
        They get it now: in a copy without it all that follows could not be read.
        """
        assert self.journal is not None
        end, sequence = self._look()
        if not self.journal.follows(end, sequence):
            return
        failed: CopiesError | None = None
        try:
            with self._env.begin(self._rows, write=True) as txn:
                end, sequence = self._state(txn)
                entry = None
                for entry in self.journal.tail(end, sequence):
                    _write(txn, entry.changes)
                    end, sequence = entry.end, entry.last
                txn.put(SEQUENCE, sequence.to_bytes(8, "big"), db=self._main)
                self._put_end(txn, end)
                if entry is not None:
                    failed = self._complete(entry)
        except lmdb.Error as error:
            self._ballast.release()
            raise UnavailableError(f"the journal cannot be replayed: {error}") from error
        self._tried = None
        if failed is not None:
            try:
                self._leave_segment(failed)
            except MetadataError as error:  # reads go on; so does the next commit that can be made
                _log.warning("an entry of the journal has too few copies", reason=str(error))

    def _complete(self, entry: Entry) -> CopiesError | None:
        """Write an entry again to all copies that take it; return why the others do not."""
        assert self.journal is not None
        errors: dict[int, OSError] = {}
        while True:
            osds = tuple(osd for osd in entry.start.osds if osd not in errors)
            try:
                self.journal.write(msgspec.structs.replace(entry.start, osds=osds), entry.pieces)
            except CopiesError as failed:  # for want of one, no copy may have been written
                errors |= failed.errors
            else:
                return CopiesError(errors) if errors else None

    def _look(self) -> tuple[End, int]:
        try:
            with self._env.begin() as txn:
                return self._state(txn)
        except lmdb.Error as error:
            raise UnavailableError(f"metadata cannot be read: {error}") from error

    def _state(self, txn: lmdb.Transaction[bytes]) -> tuple[End, int]:
        end = self._end(txn)
        assert end is not None, "it is never removed"
        return end, self._sequence(txn)

    def _sequence(self, txn: lmdb.Transaction[bytes]) -> int:
        counted = txn.get(SEQUENCE, db=self._main)
        assert counted is not None, "created with the environment"
        return int.from_bytes(counted, "big")

    def _end(self, txn: lmdb.Transaction[bytes]) -> End | None:
        row = txn.get(JOURNAL, db=self._main)
        return None if row is None else decode_end(row)

    def _put_end(self, txn: lmdb.Transaction[bytes], end: End) -> None:
        txn.put(JOURNAL, _encode_end(end), db=self._main)


SMALLEST_NEED = 4_096


class _View:
    """The state before the transaction, as a Fold reads it."""

    def __init__(self, txn: lmdb.Transaction[bytes]) -> None:
        self._txn = txn
        self.get = txn.get

    def keys_from(self, start: bytes) -> Iterator[bytes]:
        cursor = self._txn.cursor()
        return cursor.iternext(values=False) if cursor.set_range(start) else iter(())


def _write(txn: lmdb.Transaction[bytes], changes: Sequence[Change]) -> None:
    for key, value in changes:
        if value is None:
            txn.delete(key)
    txn.cursor().putmulti([(key, value) for key, value in changes if value is not None])
