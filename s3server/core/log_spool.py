"""Access log lines on their way: files beside the metadata, until a job delivers them.

Each process appends to a file of its own, one for each window of time. A line is with the operating
system before the request's connection is served again, so that a process that is killed loses none;
power that fails loses some, as AWS's best effort may. Nobody appends to a window that is over: its
files can be read, and removed, without asking who wrote them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path

import structlog

from s3server.core.clock import Clock
from s3server.core.records import BucketRecord

MAX_BYTES = 1 << 30  # of all files together; what comes when they are larger is dropped
CHUNK = 8 << 20
_GRACE_MS = 2_000  # after a window's end: clocks that differ, a write that was held up
_SUFFIX = ".log"
_LINE = re.compile(rb"([0-9a-f]{16}) ([a-z0-9.-]{3,63}) (.*\n)").fullmatch


class Spool:
    """The files of one machine."""

    def __init__(self, directory: Path, *, clock: Clock, interval_s: float, writer: str) -> None:
        """`writer` is a name that no other process has."""
        self._directory, self._clock, self._writer = directory, clock, writer
        self._interval_ms = max(round(interval_s * 1000), 1)
        self._window = -1
        self._file: int | None = None
        self._log = structlog.get_logger("access-log")

    def add(self, bucket: BucketRecord, *lines: str) -> None:
        """Append lines of a bucket's. What cannot be written is dropped, and the log says so."""
        window = self._clock.now_ms() // self._interval_ms
        try:
            if window != self._window:
                self._open(window)
            if self._file is not None:
                start = f"{bucket.id.hex()} {bucket.name} "
                _append(self._file, "".join(start + line for line in lines).encode())
        except OSError as error:
            self.close()
            self._log.warning("lines are dropped", reason=str(error))

    def close(self) -> None:
        """Close the file; the next line of another window opens one."""
        descriptor, self._file = self._file, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self, window: int) -> None:
        self.close()
        self._window = window
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if sum(map(_size, self._directory.iterdir())) > MAX_BYTES:
            self._log.warning("lines are dropped", reason=f"{self._directory} is full")
            return
        path = self._directory / f"{window:016x}-{self._writer}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def ready(self) -> list[Path]:
        """Return the files of windows that are over, the oldest first."""
        if not self._directory.exists():
            return []
        now = (self._clock.now_ms() - _GRACE_MS) // self._interval_ms
        paths = sorted(self._directory.glob(f"*{_SUFFIX}"))
        return [path for path in paths if self._window_of(path) < now]

    def span(self, path: Path) -> tuple[int, int]:
        """Return when the window of a file began, and when it ended, in milliseconds."""
        window = self._window_of(path)
        return window * self._interval_ms, (window + 1) * self._interval_ms

    def _window_of(self, path: Path) -> int:
        return int(path.name.partition("-")[0], 16)


def _append(file: int, lines: bytes) -> None:
    """Append lines. Raises OSError where one is cut off: what came next would become its end."""
    if os.write(file, lines) < len(lines):
        raise OSError(ENOSPC, "a line was cut off")


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):  # delivered, and removed, since the directory was read
        return path.stat().st_size
    return 0


def chunks(path: Path) -> Iterator[dict[tuple[bytes, str], list[bytes]]]:
    """Yield the lines of a file by bucket (id and name), CHUNK bytes at a time.

    The same file yields the same. A line that was cut off is left out.
    """
    with path.open("rb") as file:
        while lines := file.readlines(CHUNK):
            found: dict[tuple[bytes, str], list[bytes]] = {}
            for line in lines:
                if (parts := _LINE(line)) is not None:
                    bucket = bytes.fromhex(parts[1].decode()), parts[2].decode()
                    found.setdefault(bucket, []).append(parts[3])
            yield found
