"""A store that is made once and put back to what it was as often as a test likes."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3server.core import multipart
from tests.support.blobs import make_osds
from tests.support.crash_programs import osd_count, prepare
from tests.support.crash_steps import Program

MEMORY_NEEDED = 1 << 30  # bytes; containers have 64 MiB by default
INNER = ("/incoming", "/volumes", "/shards/00", "/journal")


@contextmanager
def quick_stores() -> Iterator[None]:
    """Let parts of uploads be small."""
    before = multipart.MIN_PART_BYTES
    multipart.MIN_PART_BYTES = 1
    try:
        yield
    finally:
        multipart.MIN_PART_BYTES = before


def memory_directory() -> Iterator[Path]:
    """Give a directory, in memory where there is enough: nothing here is about what disks keep."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_NEEDED
    with tempfile.TemporaryDirectory(dir=memory if has_room else None) as path:
        yield Path(path)


class StoreImage:
    """`store`, as a program's setup left it. Replaces what an earlier one made in `root`."""

    def __init__(self, root: Path, codec: str, program: Program) -> None:
        self.store, self._image = root / "store", root / "image"
        for path in (self.store, self._image):
            shutil.rmtree(path, ignore_errors=True)
        self.store.mkdir()
        make_osds(self.store, osd_count(codec))
        asyncio.run(prepare(self.store, codec, program))
        self._files = _files(self.store)
        for name in self._files:
            (self._image / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.store / name, self._image / name)

    def restore(self) -> None:
        """Make the store what it was."""
        for name in _files(self.store) - self._files:
            os.unlink(self.store / name)
        for path in self.store.glob("osd*/shards/*"):
            if not (self._image / path.relative_to(self.store)).exists():
                path.rmdir()
        for name in self._files:
            image, path = f"{self._image}/{name}", f"{self.store}/{name}"
            if _stamp(image) != _stamp(path):
                shutil.copy2(image, path)


def _files(root: Path) -> set[str]:
    found: set[str] = set()
    for place in ("", "meta", *(path.name for path in root.glob("osd*"))):
        for inner in ("", *INNER) if place else ("",):
            with suppress(FileNotFoundError), os.scandir(f"{root}/{place}{inner}") as entries:
                found.update(entry.path for entry in entries if entry.is_file())
    return {os.path.relpath(path, root) for path in found}


def _stamp(path: str) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size
    return None
