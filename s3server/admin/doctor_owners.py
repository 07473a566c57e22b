"""Looks for what this user cannot use in a store, as a copy, a restore or `sudo` leaves it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_MOST = 20_000  # entries that are looked at of each path: it may hold millions


def denied(*paths: Path) -> str:
    """Return what this user cannot use of others' files, and of all directories, in these.

    "" if nothing. Looks at the first 20,000 entries of each path.
    """
    found = [each for path in paths for each in islice(_entries(path), _MOST) if _is_denied(each)]
    if not found:
        return ""
    first, owner, user = found[0], found[0].lstat().st_uid, os.geteuid()
    more = f", nor can {len(found) - 1} more" if len(found) > 1 else ""
    if owner == user:
        return f"{first} cannot be read and written by user {user}{more}: chmod u+rwx it"
    return f"{first} belongs to user {owner} and cannot be written by user {user}{more}: chown it"


def _entries(path: Path) -> Iterator[Path]:
    if path.exists():
        yield path
    for directory, folders, files in os.walk(path):  # leaves out what it may not list
        if os.access(directory, os.X_OK):  # else it may be listed, but nothing in it looked at
            yield from (Path(directory, name) for name in (*folders, *files))


def _is_denied(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:  # a server at work removes files
        return False
    is_directory, is_own = stat.S_ISDIR(status.st_mode), status.st_uid == os.geteuid()
    if is_own and (not is_directory or status.st_mode & stat.S_IRWXU == stat.S_IRWXU):
        return False  # also on a disk that is mounted read-only, which is a finding of its own
    return not os.access(path, os.R_OK | os.W_OK | (os.X_OK if is_directory else 0))
