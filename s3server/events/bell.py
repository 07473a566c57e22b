"""Wakes the publisher of events: a named pipe in the run directory of a store.

Whoever has committed events rings, in whatever process; the jobs process hears it. A ring that is
lost, as nobody hears or a process dies before it, delays events until the publisher looks anyway.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

NAME = "events.bell"

_UNHEARD = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.EAGAIN, errno.EPIPE})
_log = structlog.get_logger("events")


class Bell:
    """That of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._descriptor = -1
        self._has_warned = False

    def ring(self) -> None:
        """Wake who listens, if anybody does. Never blocks; never raises for want of a listener."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"!")
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _UNHEARD and not self._has_warned:  # not with every commit
                self._has_warned = True
                _log.warning("the publisher of events cannot be woken", reason=str(error))

    def listen(self, wake: Callable[[], None]) -> bool:
        """Call `wake` on this event loop whenever it rings; False where there can be no pipe."""
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            # Also open for writing, so that it never looks closed when the last ringer is gone.
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            asyncio.get_running_loop().add_reader(self._descriptor, self._heard, wake)
        except OSError as error:  # a full disk; what lies there is no pipe
            reason = f"{self._path}: {error.strerror}"
            _log.warning("events are looked for, nobody is woken", reason=reason)
            return False
        return True

    def close(self) -> None:
        """Listen no more."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _heard(self, wake: Callable[[], None]) -> None:
        with suppress(BlockingIOError):
            os.read(self._descriptor, 1 << 16)
        wake()
