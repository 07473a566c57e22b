"""The store's lock, and the file that tells which processes serve it.

The lock is a flock(2) on `server.lock` in the metadata directory. Every process of a server holds
the same open file, so it lasts until the last one is gone, however it ended. `server.json` beside
it has the form {"pid", "url", "workers": {slot: pid}, "jobs": pid}.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

LOCK, STATE = "server.lock", "server.json"
WAIT_S = 5  # for the processes of a killed server to be gone


class StoreBusyError(Exception):
    """Another server serves this store."""


def lock(directory: Path) -> int:
    """Return the descriptor of the locked file, made with its directory where it is missing.

    Blocks up to WAIT_S. Raises StoreBusyError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                found = read(directory)
                raise StoreBusyError(
                    f"{directory} is in use by the server with process id {found.get('pid', '?')}"
                ) from None
        time.sleep(0.05)


def write(directory: Path, state: dict[str, Any]) -> None:
    """Replace the state file."""
    file = directory / STATE
    new = file.with_suffix(".new")
    new.write_text(json.dumps(state), encoding="utf-8")
    new.replace(file)


def read(directory: Path) -> dict[str, Any]:
    """Return the state of the server that runs, or ran; {} where there is none."""
    with contextlib.suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads((directory / STATE).read_text(encoding="utf-8"))
        return state
    return {}


def remove(directory: Path) -> None:
    """Forget the state."""
    (directory / STATE).unlink(missing_ok=True)
