"""The OSDs of this process: which are open, and which of them take no new shards, and why.

An OSD on which a write fails is down at once, in this process; `s3server.osd_watch` tells the
others. Down is not out: what is placed there goes elsewhere meanwhile, what lies there is still
read. An OSD that does not answer at all is silent as well: nobody calls it any more.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from s3server.data.osd_directory import DirectoryOsd, Usage

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})  # our trouble, not the OSD's
FULL_FOR_S = 10.0  # after it refused a write for want of space, whatever its usage says

FULL_RATIO = 0.95
DEADLINE_S = 5.0


class OsdSet:
    """Shared by all pools of a process. Thread-safe.

    `open` stays the same mapping and is changed in place, all else that is read is replaced.
    """

    def __init__(
        self,
        osds: Mapping[int, DirectoryOsd],
        *,
        full_ratio: float = FULL_RATIO,
        deadline_s: float = DEADLINE_S,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.open: dict[int, DirectoryOsd] = dict(osds)
        self.down: Mapping[int, str] = {}  # why
        self.silent: frozenset[int] = frozenset()  # those of `down` that do not answer
        self.full: frozenset[int] = frozenset()
        self.avoid: frozenset[int] = frozenset()  # down or full: no new shard goes there
        self.usage: Mapping[int, Usage] = {}  # as last looked at
        self.deadline_s = deadline_s  # in which an OSD answers a call
        self._full_ratio, self._timer = full_ratio, timer
        self._refused_s: dict[int, float] = {}  # when a write last failed for want of space
        self._calls: dict[int, tuple[int, float]] = {}  # which thread calls which OSD since when
        self._lock = threading.Lock()

    @contextmanager
    def calling(self, osd: int) -> Iterator[None]:
        """Note that this thread calls an OSD, which may never answer."""
        me = threading.get_ident()
        self._calls[me] = (osd, self._timer())
        try:
            yield
        finally:
            self._calls.pop(me, None)

    def stuck(self) -> set[int]:
        """Mark the OSDs that have not answered in time; return the threads that wait for them."""
        now, calls = self._timer(), list(self._calls.items())
        for _, (osd, since) in calls:
            if now - since > self.deadline_s:
                reason = f"no answer in {self.deadline_s:g} s"
                self.mark_down(osd, reason, is_silent=True)
        return {thread for thread, (osd, _) in calls if osd in self.silent}

    def is_whole(self, osd: int) -> bool:
        """Tell whether an OSD is open and not down: what is missing there is damage of a blob."""
        return osd in self.open and osd not in self.down

    def device(self, osd: int) -> DirectoryOsd:
        """Return an OSD; OSError where it is not here any more."""
        found = self.open.get(osd)
        if found is None:
            raise OSError(errno.ENODEV, f"OSD {osd} is not here")
        return found

    def add(self, osd: DirectoryOsd) -> None:
        """Begin to use an OSD; where it is down it takes no new shard yet."""
        self.open[osd.id] = osd

    def remove(self, osd: int) -> None:
        """Forget an OSD that is no longer of the cluster."""
        self.open.pop(osd, None)
        self.mark_up(osd)

    def failed(self, osd: int, error: OSError) -> None:
        """Take note of a write that failed: the OSD is full, or down."""
        if error.errno in OURS or isinstance(error, FileExistsError):  # another repair is at it
            return
        if error.errno in NO_SPACE:
            with self._lock:
                self._refused_s[osd] = self._timer()
                self._set_full(self.full | {osd})
        else:
            self.mark_down(osd, _reason(error))

    def mark_down(self, osd: int, reason: str, *, is_silent: bool = False) -> None:
        """Let no new shard go to an OSD, from now on; the first reason stays."""
        with self._lock:
            self.down = {osd: reason, **self.down}
            if is_silent:
                self.silent |= {osd}
            self.avoid = self.full.union(self.down)

    def mark_up(self, osd: int) -> None:
        """Let an OSD take new shards again."""
        with self._lock:
            self.down = {each: why for each, why in self.down.items() if each != osd}
            self.silent -= {osd}
            self.avoid = self.full.union(self.down)

    def note_usage(self, usage: Mapping[int, Usage]) -> None:
        """Take note of how much space there is: what is beyond the full ratio takes no shard."""
        with self._lock:
            self.usage = usage
            now = self._timer()
            self._refused_s = {
                osd: at for osd, at in self._refused_s.items() if now - at < FULL_FOR_S
            }
            beyond = {osd for osd, each in usage.items() if each.used_ratio >= self._full_ratio}
            self._set_full(frozenset(beyond | self._refused_s.keys()))

    def _set_full(self, full: frozenset[int]) -> None:
        self.full = full
        self.avoid = full.union(self.down)


def _reason(error: OSError) -> str:
    """Return what the system says, without its number, as an operator is to read it."""
    text = error.strerror or str(error)
    return text if error.filename is None else f"{text}: {error.filename}"
