"""What the journal asks of OSDs: directories, and the file operations in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from s3server.meta.base import UnavailableError

Run = Callable[[Sequence[tuple[int, Callable[[], None]]]], list[OSError | None]]


class Stat(Protocol):
    """Of a file."""

    @property
    def st_size(self) -> int: ...
    @property
    def st_nlink(self) -> int: ...


class Files(Protocol):
    """System calls; all raise OSError. `data.vfs.Vfs` is one."""

    def create(self, path: str, *, direct: bool = False) -> int: ...
    def open(self, path: str) -> int: ...
    def open_to_write(self, path: str) -> int: ...
    def close(self, fd: int) -> None: ...
    def pread(self, fd: int, size: int, offset: int) -> bytes: ...
    def pwrite(self, fd: int, data: bytes, offset: int) -> int: ...
    def append_durably(self, fd: int, buffers: Sequence[bytes], offset: int) -> int: ...
    def allocate(self, fd: int, size: int) -> None: ...
    def fsync(self, fd: int) -> None: ...
    def rename(self, source: str, target: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def names(self, path: str) -> list[str]: ...
    def stat(self, fd: int) -> Stat: ...


class Osd(Protocol):
    """An OSD as the journal sees it; `journal/` and `incoming/` are directories in its path."""

    @property
    def id(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def vfs(self) -> Files: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An OSD that may hold a copy, and what fails together with it."""

    osd: Osd
    domain: str


class CopiesError(UnavailableError):
    """Copies of the journal could not be written; `errors` says why, by OSD."""

    def __init__(self, errors: dict[int, OSError]) -> None:
        super().__init__("; ".join(str(error) for error in errors.values()))
        self.errors = errors


class OpenFile:
    """An open file, closed with its last user."""

    __slots__ = ("_files", "fd")

    def __init__(self, files: Files, fd: int) -> None:
        self._files, self.fd = files, fd

    def __del__(self) -> None:
        with contextlib.suppress(OSError):  # what counts was made durable before
            self._files.close(self.fd)


def in_turn(jobs: Sequence[tuple[int, Callable[[], None]]]) -> list[OSError | None]:
    """Run one job per OSD, one after the other; return how each ended."""
    outcomes: list[OSError | None] = []
    for _, job in jobs:
        try:
            job()
        except OSError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)
    return outcomes


def sync_directory(files: Files, path: str) -> None:
    """Make the names in a directory durable."""
    directory = OpenFile(files, files.open(path))
    files.fsync(directory.fd)
