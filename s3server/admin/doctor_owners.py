"""Looks for what another user owns in a store, as a copy, a restore or `sudo` leaves it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_MOST = 20_000  # entries that are looked at of each directory: it may hold millions


def denied(*paths: Path) -> str:
    """Return what is wrong where this user cannot use what others own in these; "" if nothing."""
    found = [each for path in paths for each in islice(_entries(path), _MOST) if _is_denied(each)]
    if not found:
        return ""
    owner, others = found[0].lstat().st_uid, len(found) - 1
    text = f"{found[0]} belongs to user {owner} and cannot be written by user {os.geteuid()}"
    return text + (f", nor can {others} more" if others else "") + ": chown it"


def _entries(path: Path) -> Iterator[Path]:
    if path.exists():
        yield path
    for directory, folders, files in os.walk(path):  # leaves out what it may not look into
        yield from (Path(directory, name) for name in (*folders, *files))


def _is_denied(path: Path) -> bool:
    try:
        owner = path.lstat().st_uid
    except FileNotFoundError:  # a server at work removes files
        return False
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return owner != os.geteuid() and not os.access(path, wanted)
