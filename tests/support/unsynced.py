"""What a power cut takes away: all that was written through a Vfs and not made durable since.

The model is stricter than any file system we run on: a file's bytes survive by fsync, fdatasync
or RWF_DSYNC of that file only, a name by fsync of its directory only (POSIX promises no more;
Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014). It therefore finds a sync that
is missing, also where ext4 would have been kind. A rename is atomic and becomes durable with the
directory that it renames into.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(slots=True)
class _File:
    """A file with bytes that are not durable: what of it is, and a way to it without its name."""

    handle: int
    durable: bytes


@dataclass(slots=True)
class _Name:
    """A change of a name that is not durable."""

    directory: str
    path: str  # what bears the name now; "" where nothing does any more
    undo: Callable[[], None]


class Unsynced:
    """Follows the calls of one process. `graves`: an empty directory on the file system of all."""

    def __init__(self, graves: str) -> None:
        self._graves, self._buried = graves, 0
        self._files: dict[int, _File] = {}  # by inode
        self._names: list[_Name] = []

    def created(self, path: str, fd: int) -> None:
        """Note a new file."""
        self._files[os.fstat(fd).st_ino] = _File(os.dup(fd), b"")
        self._names.append(_Name(os.path.dirname(path), path, lambda: os.unlink(path)))

    def made(self, path: str) -> None:
        """Note a new directory: all that is in it goes with its name."""
        self._names.append(_Name(os.path.dirname(path), path, lambda: shutil.rmtree(path)))

    def writing(self, fd: int) -> None:
        """Note a write that is about to happen, and is not durable by itself."""
        inode = os.fstat(fd).st_ino
        if inode not in self._files:
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                self._files[inode] = _File(os.dup(fd), file.read())

    def is_durable(self, fd: int) -> bool:
        """Tell whether nothing was written to a file but what is durable."""
        found = os.fstat(fd)
        return found.st_ino not in self._files or not found.st_size

    def synced(self, fd: int) -> None:
        """Note that a file's bytes, or a directory's names, are durable now."""
        file = self._files.pop(os.fstat(fd).st_ino, None)
        if file is not None:
            os.close(file.handle)
        directory = os.readlink(f"/proc/self/fd/{fd}")
        self._names = [name for name in self._names if name.directory != directory]

    def renaming(self, source: str, target: str) -> None:
        """Note a rename that is about to happen."""
        grave = self._bury(target)
        was_durable = not self._forget(source)

        def undo() -> None:
            if was_durable:
                os.rename(target, source)
            else:
                os.unlink(target)
            if grave:
                os.rename(grave, target)

        self._names.append(_Name(os.path.dirname(target), target, undo))

    def unlinking(self, path: str) -> None:
        """Note an unlink that is about to happen."""
        if not self._forget(path) and (grave := self._bury(path)):
            self._names.append(_Name(os.path.dirname(path), "", lambda: os.rename(grave, path)))

    def lose(self, *, fill: bool, unlinked: bool) -> None:
        """Leave what is durable, and of the rest what a file system may have written by itself.

        With `fill` files keep their lengths, and zeros come for bytes. With `unlinked` what was
        unlinked is gone, while what was renamed before, into the same directory, is not there yet.
        """
        for file in self._files.values():
            with open(f"/proc/self/fd/{file.handle}", "r+b") as content:
                size = os.fstat(content.fileno()).st_size
                content.truncate(0)
                content.write(file.durable)
                content.truncate(max(size, len(file.durable)) if fill else len(file.durable))
        for name in reversed(self._names):
            if name.path or not unlinked:
                name.undo()

    def _forget(self, path: str) -> bool:
        """Drop what made this name, if that is not durable; tell whether it was not."""
        found = [name for name in self._names if name.path == path]
        self._names = [name for name in self._names if name.path != path]
        return bool(found)

    def _bury(self, path: str) -> str:
        """Keep a file that is about to lose its name; "" where there is none."""
        self._buried += 1
        grave = f"{self._graves}/{self._buried}"
        with suppress(FileNotFoundError):
            os.link(path, grave)
            return grave
        return ""
