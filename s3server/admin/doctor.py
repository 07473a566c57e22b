"""Looks at a machine and a store before, or after, something goes wrong; changes nothing."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import stat
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path

import msgspec

from s3server.config import Config
from s3server.data.osd_directory import IdentityError, identity_of
from s3server.meta.owner import act_as_owner

_FILES = 65_536  # open files that a busy gateway with many OSDs comes near to
_INODES = 0.05  # free share below which files cannot be made before bytes run out
_SYNCS, _SLOW_MS = 20, 50.0
_CLOCK_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_LIBRARIES = ("lmdb", "pyeclib", "uvicorn", "awscrt", "botocore", "cryptography")
# Where flock(2), O_DIRECT or a sync of a directory are not what they are on a local disk.
_UNFIT = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "overlay", "vfat", "9p"})
_FORGETFUL = frozenset({"tmpfs", "ramfs"})


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    WARNING = 1
    BAD = 2


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do about it."""

    what: str
    level: Level
    text: str


def examine(config: Config) -> list[Finding]:
    """Return what was found. Every check answers, whatever the others met."""
    act_as_owner(config.storage.meta_dir)
    osds = [(f"OSD {osd.id}", osd.path) for osd in config.osds]
    return [
        _versions(),
        _clock(),
        _open_files(),
        *_master_key(config.storage.master_key_file),
        *_directory("metadata", _existing(config.storage.meta_dir), config),
        *(finding for name, path in osds for finding in _osd(name, path, config)),
        *_shared_disks([path for _, path in osds]),
    ]


def _versions() -> Finding:
    found = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    text = f"s3server {version('s3server')}, Python {platform.python_version()}, {found}"
    return Finding("versions", Level.OK, text)


def _clock() -> Finding:
    """Requests are refused when client and server are 15 minutes apart."""
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    if state == _CLOCK_UNSYNCHRONISED:
        text = "not synchronised: run chrony or systemd-timesyncd"
        return Finding("clock", Level.WARNING, text)
    if state < 0:
        return Finding("clock", Level.WARNING, os.strerror(ctypes.get_errno()))
    return Finding("clock", Level.OK, "synchronised")


def _open_files() -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_enough = most == resource.RLIM_INFINITY or most >= _FILES
    text = f"at most {most}" + ("" if is_enough else f": raise LimitNOFILE= to {_FILES} or more")
    return Finding("open files", Level.OK if is_enough else Level.WARNING, text)


def _master_key(file: Path) -> Iterator[Finding]:
    if not file.exists():
        yield Finding("master key", Level.OK, f"{file} will be made at the first start")
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & stat.S_IRWXO:
        yield Finding("master key", Level.BAD, f"{file} can be reached by others: chmod o= it")
    elif not os.access(file, os.R_OK):
        yield Finding("master key", Level.BAD, f"{file} cannot be read by {_me()}")
    else:
        yield Finding("master key", Level.OK, f"{file}, mode {mode:04o}")


def _me() -> str:
    return f"user {os.geteuid()}"


def _existing(directory: Path) -> Path:
    while not directory.exists():
        directory = directory.parent
    return directory


def _osd(name: str, path: Path, config: Config) -> Iterator[Finding]:
    if not path.exists():
        is_new = not config.storage.meta_dir.exists()
        text = f"{path} is not there" + (": it will be made" if is_new else ": is it mounted?")
        yield Finding(name, Level.OK if is_new else Level.BAD, text)
        return
    try:
        found = identity_of(str(path))
    except IdentityError as error:
        if any(path.iterdir()):
            yield Finding(name, Level.BAD, str(error))
            return
    except OSError as error:
        yield Finding(name, Level.BAD, f"{path}: {error.strerror}")
        return
    else:
        if f"OSD {found.osd}" != name:
            yield Finding(name, Level.BAD, f"{path} is OSD {found.osd}")
            return
    yield from _directory(name, path, config)


def _directory(name: str, path: Path, config: Config) -> Iterator[Finding]:
    """Look at the file system of a directory: its kind, its room, and how long a sync takes."""
    kind = _file_system(path)
    if kind in _UNFIT or kind in _FORGETFUL:
        level = Level.BAD if kind in _UNFIT else Level.WARNING
        yield Finding(name, level, f"{path} is on {kind}: give it a local file system on a disk")
    if not os.access(path, os.W_OK | os.X_OK):
        yield Finding(name, Level.BAD, f"{path} cannot be written by {_me()}")
        return
    room = os.statvfs(path)
    used = 1 - room.f_bavail / max(room.f_blocks, 1)
    storage, gib = config.storage, room.f_bavail * room.f_frsize / (1 << 30)
    full = Level.BAD if used >= storage.full_ratio else Level(used >= storage.nearfull_ratio)
    yield Finding(name, full, f"{path}: {kind}, {gib:.1f} GiB free, {used:.0%} used")
    if room.f_files and room.f_favail / room.f_files < _INODES:
        yield Finding(name, Level.WARNING, f"{path}: {room.f_favail} inodes free")
    if (took := _sync_ms(path)) is not None:
        text = f"a synced write takes {took:.1f} ms" + (
            ": every upload waits for it" if took > _SLOW_MS else ""
        )
        yield Finding(name, Level.WARNING if took > _SLOW_MS else Level.OK, text)


def _file_system(path: Path) -> str:
    """Return the type of the file system that a path lies on, from /proc/self/mounts."""
    device, found = path.stat().st_dev, "unknown"
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, mount, kind, *_ = line.split()
        with suppress(OSError):
            if os.stat(mount.encode().decode("unicode_escape")).st_dev == device:
                found = kind
    return found


def _sync_ms(directory: Path) -> float | None:
    """Return the median time of small synced writes; None where no nameless file can be made."""
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    times = []
    try:
        for _ in range(_SYNCS):
            begin = time.perf_counter()
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - begin)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return statistics.median(times) * 1000


def _shared_disks(paths: list[Path]) -> Iterator[Finding]:
    """Several OSDs on one disk are lost together."""
    devices = Counter(path.stat().st_dev for path in paths if path.exists())
    shared = sum(count for count in devices.values() if count > 1)
    if shared:
        text = f"{shared} of {len(paths)} OSDs share a file system: they are lost together"
        yield Finding("disks", Level.WARNING, text)
