"""The journal: every commit batch, on OSDs of distinct failure domains, before LMDB has it.

Written inside the store's write transaction, which no two processes have at once; the transaction
also moves the journal's `End`. What a crash leaves behind that end was acknowledged to nobody: it
is replayed by the next start, or overwritten by the next batch, which has the same number and lies
at the same place. Format: journal_format.py; why all this is right: docs/decisions/0006.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator, Sequence, Set
from functools import partial

import structlog

from s3server.meta import journal_format as layout
from s3server.meta.base import FullError, UnavailableError
from s3server.meta.journal_files import (
    Candidate,
    CopiesError,
    OpenFile,
    Osd,
    Run,
    in_turn,
    sync_directory,
)
from s3server.meta.journal_format import HEADER, End, Entry, Segment
from s3server.meta.journal_read import History

SEGMENT_BYTES = 32 << 20
SMALL_SEGMENT_BYTES = 1 << 20  # what commits that free space make do with
SUSPECT_S = 60.0  # for which an OSD that failed is not asked again
LEAVE_S = 3.0  # by when every process knows the OSDs that took the place of others

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_ABSENT = frozenset({errno.ENOENT})
_log = structlog.get_logger("journal")


class Journal:
    """The journal of one store, as one process has it open. Blocks; the caller holds a lock.

    `copies` are made of it, on OSDs of distinct domains; with fewer than `minimum` nothing is
    committed. `run` runs one job per OSD and returns their errors. `is_full` is set once there
    was no space for a segment: until clear_full() only commits that free space should come.
    """

    def __init__(
        self,
        cluster: str,
        candidates: Sequence[Candidate],
        *,
        copies: int,
        run: Run = in_turn,
        segment_bytes: int = SEGMENT_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = cluster
        self.copies = copies
        self.minimum = min(2, copies)
        self.is_full = False
        self.failures = 0  # writes of a copy that failed, since the start
        self._candidates = candidates
        self._leaving: dict[int, tuple[Osd, float]] = {}  # and when they are left
        self._run, self._segment_bytes, self._monotonic = run, segment_bytes, monotonic
        self._suspects: dict[int, float] = {}  # OSD -> when it is asked again
        self._open: dict[int, OpenFile] = {}
        self._open_segment = 0

    def use(self, candidates: Sequence[Candidate]) -> None:
        """Begin the next segments on these OSDs, and leave those that are not among them soon.

        Left at once, they would be gone back to by a process that does not know the others yet,
        and so on, with a new segment for each commit.
        """
        left_s, staying = self._monotonic() + LEAVE_S, {each.osd.id for each in candidates}
        before = {each.osd.id: (each.osd, left_s) for each in self._candidates} | self._leaving
        self._leaving = {osd: found for osd, found in before.items() if osd not in staying}
        self._candidates = candidates

    @property
    def candidates(self) -> list[Candidate]:
        """The OSDs that copies may be written to, those of the present segment first."""
        return sorted(self._usable(), key=lambda each: each.osd.id not in self._open)

    @property
    def osds(self) -> list[Osd]:
        """The OSDs on which copies, old and new, may lie."""
        return [candidate.osd for candidate in self._candidates]

    def has_room(self, end: End, size: int, *, reserve: bool) -> bool:
        """Tell whether an entry fits; `reserve`: also into what is held back for deletes."""
        limit = end.size if reserve else end.size - end.size // 4
        return end.offset + size <= limit

    def prepare(self, end: End) -> None:
        """Open every copy. Raises CopiesError where one is not here; nothing was written then."""
        if self._open_segment != end.segment:
            self._open, self._open_segment = {}, end.segment
        due = [osd for osd in end.osds if osd not in self._open or self._find(osd) is None]
        if due:
            # An OSD that lost its copy may take one of the next segment; one that is gone will not.
            jobs = [(osd, partial(self._open_copy, osd, end)) for osd in due]
            self._expect(jobs, trusted=_ABSENT)

    def write(self, end: End, pieces: Sequence[bytes]) -> None:
        """Make an entry durable in every copy. Raises CopiesError: some may have it then."""
        self.prepare(end)
        jobs = [(osd, partial(self._write, osd, end, pieces)) for osd in end.osds]
        self._expect(jobs, trusted=_ABSENT)

    def void(self, end: End) -> None:
        """Make sure that nothing follows `end` in any copy. Raises CopiesError."""
        self.write(end, [bytes(layout.ENTRY_HEADER)])

    def begin(self, end: End | None, sequence: int, *, need: int, reserve: bool = False) -> End:
        """Begin a segment for what follows commit `sequence`, and return where it begins.

        It holds at least `need` bytes. Raises FullError or UnavailableError where fewer than
        `minimum` copies can be made; then none counts. It is the caller's to commit the end
        before anything is written to it: a segment without entries means nothing.
        """
        errors: dict[int, OSError] = {}
        sizes = [max(self._segment_bytes, HEADER + 2 * need)]
        if reserve:
            sizes.append(min(sizes[0], SMALL_SEGMENT_BYTES + HEADER + 2 * need))
        for size in sizes:
            begun = self._begin(end, sequence, size, errors)
            if begun is not None:
                self.is_full = False
                return begun
        self.is_full = all(error.errno in _NO_SPACE for error in errors.values()) and bool(errors)
        kind = FullError if self.is_full else UnavailableError
        reasons = "; ".join(str(error) for error in errors.values())
        raise kind(f"fewer than {self.minimum} copies of the journal can be written: {reasons}")

    def wants_another(self, end: End) -> bool:
        """Tell whether a new segment would have more copies than this one."""
        wanted = {candidate.domain for candidate in self._usable()}
        return len(end.osds) < min(self.copies, len(wanted))

    def follows(self, end: End, sequence: int) -> bool:
        """Tell whether some copy has an entry behind `end`. Reads only what is there now."""
        return next(self.tail(end, sequence), None) is not None

    def tail(self, end: End, sequence: int) -> Iterator[Entry]:
        """Yield the entries that follow commit `sequence`, which `end` is the end of."""
        return History(self.osds, self.cluster).entries(sequence, end.chain, start=end)

    # --- copies ----------------------------------------------------------------------------------

    def _begin(
        self, end: End | None, sequence: int, size: int, errors: dict[int, OSError]
    ) -> End | None:
        number = 1 + max(History(self.osds, self.cluster).newest, end.segment if end else 0)
        while True:
            files = self._reserve(number, end.osds if end else (), size, errors)
            if len(files) < self.minimum:
                self._drop(files, number)
                return None
            segment = Segment(
                self.cluster,
                number,
                sequence,
                end.chain if end else 0,
                size,
                tuple(files),
                layout.new_salt(),
            )
            try:
                self._expect(
                    [(osd, partial(self._publish, osd, files[osd], segment)) for osd in files]
                )
            except CopiesError as error:
                errors |= error.errors
                self._drop(files, number)
                continue
            self._open, self._open_segment = files, number
            _log.info("journal segment begun", segment=number, osds=list(files), base=sequence)
            return layout.begin(segment)

    def _reserve(
        self, number: int, before: Sequence[int], size: int, errors: dict[int, OSError]
    ) -> dict[int, OpenFile]:
        """Make files of `size` bytes in incoming/, on up to `copies` distinct domains."""
        files: dict[int, OpenFile] = {}
        domains: set[str] = set()
        for candidate in sorted(self._usable(), key=lambda each: each.osd.id not in before):
            osd = candidate.osd
            if candidate.domain in domains or len(files) == self.copies:
                continue
            try:
                files[osd.id] = self._create(osd, number, size)
            except OSError as error:
                errors[osd.id] = error
                if error.errno not in _NO_SPACE:
                    self._suspect(osd.id, error)
            else:
                domains.add(candidate.domain)
        return files

    def _usable(self) -> list[Candidate]:
        now = self._monotonic()
        return [each for each in self._candidates if self._suspects.get(each.osd.id, now) <= now]

    def _create(self, osd: Osd, number: int, size: int) -> OpenFile:
        path = _incoming(osd, number)
        with contextlib.suppress(FileNotFoundError):  # of a process that died here
            osd.vfs.unlink(path)
        file = OpenFile(osd.vfs, osd.vfs.create(path))
        try:
            osd.vfs.allocate(file.fd, size)
        except OSError:
            with contextlib.suppress(OSError):
                osd.vfs.unlink(path)
            raise
        return file

    def _publish(self, osd_id: int, file: OpenFile, segment: Segment) -> None:
        osd = self._osd(osd_id)
        _append(osd, file, [layout.pack_segment(segment)], 0)
        osd.vfs.fsync(file.fd)
        osd.vfs.rename(_incoming(osd, segment.number), _path(osd, segment.number))
        sync_directory(osd.vfs, f"{osd.path}/journal")

    def _drop(self, files: dict[int, OpenFile], number: int) -> None:
        """Remove what was reserved; what was published has no entries, hence means nothing."""
        for osd in map(self._osd, files):
            for path in (_incoming(osd, number), _path(osd, number)):
                with contextlib.suppress(OSError):
                    osd.vfs.unlink(path)

    def _open_copy(self, osd_id: int, end: End) -> None:
        osd = self._osd(osd_id)
        path = _path(osd, end.segment)
        self._open[osd_id] = OpenFile(osd.vfs, osd.vfs.open_to_write(path))

    def _write(self, osd_id: int, end: End, pieces: Sequence[bytes]) -> None:
        osd, file = self._osd(osd_id), self._open[osd_id]
        _append(osd, file, pieces, end.offset)
        if osd.vfs.stat(file.fd).st_nlink == 0:  # by hand, or by fsck: the OSD itself is well
            path = _path(osd, end.segment)
            raise FileNotFoundError(errno.ENOENT, "removed while it was written to", path)

    def _expect(
        self, jobs: Sequence[tuple[int, Callable[[], None]]], *, trusted: Set[int] = frozenset()
    ) -> None:
        """Run the jobs; raise CopiesError for those that failed, whose OSDs are suspects then.

        Where the error is one of `trusted` the OSD is none.
        """
        errors = {
            osd: error for (osd, _), error in zip(jobs, self._run(jobs), strict=True) if error
        }
        for osd, error in errors.items():
            self._suspect(osd, error, 0 if error.errno in trusted else SUSPECT_S)
        if errors:
            raise CopiesError(errors)

    def _suspect(self, osd: int, error: OSError, suspect_s: float = SUSPECT_S) -> None:
        self._open.pop(osd, None)
        if self._find(osd) is None:  # it was left, or is not known here yet: nothing has failed
            return
        self._suspects[osd] = self._monotonic() + suspect_s
        self.failures += 1
        _log.error("journal copy failed", osd=osd, reason=str(error), failures=self.failures)

    def _osd(self, osd_id: int) -> Osd:
        found = self._find(osd_id)
        if found is None:
            raise OSError(errno.ENODEV, f"OSD {osd_id} is not here")
        return found

    def _find(self, osd_id: int) -> Osd | None:
        for candidate in self._candidates:
            if candidate.osd.id == osd_id:
                return candidate.osd
        osd, left_s = self._leaving.get(osd_id, (None, 0.0))
        return osd if self._monotonic() < left_s else None


def _incoming(osd: Osd, number: int) -> str:
    return f"{osd.path}/incoming/{number:016x}.log"


def _path(osd: Osd, number: int) -> str:
    return f"{osd.path}/journal/{number:016x}.log"


def _append(osd: Osd, file: OpenFile, pieces: Sequence[bytes], offset: int) -> None:
    size = sum(len(piece) for piece in pieces)
    written = osd.vfs.append_durably(file.fd, pieces, offset)
    if written != size:  # the kernel cuts writes to files short only when space runs out
        raise OSError(errno.ENOSPC, f"{osd.path}: {written} of {size} bytes written")
