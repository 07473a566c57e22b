"""The store's lock, and the file that tells which processes serve it.

For the metadata directory `meta` the lock is a flock(2) on `meta.server` beside it. Every process
of a server holds the same open file, so it lasts until the last one is gone, however it ended.
`meta.server.json` has the form {"pid", "url", "workers": {slot: pid}, "jobs": pid, "full_ratio",
"nearfull_ratio"}.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3server.config import StorageConfig

WAIT_S = 5  # for the processes of a killed server to be gone


class StoreBusyError(Exception):
    """Another server serves this store."""


def lock(meta_dir: Path) -> int:
    """Return the descriptor of the locked file, made with its directory where it is missing.

    Blocks up to WAIT_S. Raises StoreBusyError.
    """
    meta_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = meta_dir.with_name(meta_dir.name + ".server")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                found = read(meta_dir)
                raise StoreBusyError(
                    f"{meta_dir} is in use by the server with process id {found.get('pid', '?')}"
                ) from None
        time.sleep(0.05)


@contextlib.contextmanager
def locked(meta_dir: Path) -> Iterator[None]:
    """Hold the lock, as lock() takes it, in this block."""
    descriptor = lock(meta_dir)
    try:
        yield
    finally:
        os.close(descriptor)


def is_served(meta_dir: Path) -> bool:
    """Return whether a server serves a store; asking disturbs none that is just starting."""
    file = meta_dir.with_name(meta_dir.name + ".server")
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write(storage: StorageConfig, *, url: str, workers: dict[int, int], jobs: int | None) -> None:
    """Replace the state file by one that says what the calling supervisor runs, and by what."""
    state = {"pid": os.getpid(), "url": url, "workers": workers, "jobs": jobs}
    state |= {"full_ratio": storage.full_ratio, "nearfull_ratio": storage.nearfull_ratio}
    file = _state_file(storage.meta_dir)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(state), encoding="utf-8")
    new.replace(file)


def read(meta_dir: Path) -> dict[str, Any]:
    """Return the state of the server that runs, or ran; {} where there is none."""
    with contextlib.suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads(_state_file(meta_dir).read_text(encoding="utf-8"))
        return state
    return {}


def remove(meta_dir: Path) -> None:
    """Forget the state."""
    _state_file(meta_dir).unlink(missing_ok=True)


def _state_file(meta_dir: Path) -> Path:
    return meta_dir.with_name(meta_dir.name + ".server.json")
