"""Root works on a store as the user whom it belongs to.

Whatever a command of root's made in it (a new journal file, a grown map) would be root's file, and
the server, which runs as a user of its own, would fail on it.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def act_as_owner(directory: Path) -> None:
    """Become the owner of a store for good, where this is root and the store is somebody else's.

    `directory` need not exist: then it will belong to whom the directory above belongs to.
    """
    if os.geteuid() != 0:
        return
    while not directory.exists():
        directory = directory.parent
    owner = directory.stat()
    if owner.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:  # a user without a name has one group
        os.setgroups([owner.st_gid])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
