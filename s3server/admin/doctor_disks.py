"""Looks at the directories of a store: whose they are, what they lie on, how much room is left."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lmdb

from s3server.admin.doctor_owners import denied
from s3server.admin.finding import Finding, Level
from s3server.cluster.map_record import MAP_KEY, MapRecord, OsdRecord, osd_key
from s3server.config import Config
from s3server.core.records import decode
from s3server.data.osd_directory import IdentityError, identity_of
from s3server.meta.base import MetadataError
from s3server.meta.lmdb_files import ROWS, open_environment
from s3server.meta.lmdb_view import LmdbView

_INODES = 0.05  # free share below which files cannot be made before bytes run out
_SYNCS, _SLOW_MS = 20, 50.0
# Where flock(2), O_DIRECT or a sync of a directory are not what they are on a local disk.
_UNFIT = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "overlay", "vfat", "9p"})
_FORGETFUL = frozenset({"tmpfs", "ramfs"})
# With these a disk may say that it is done before it is.
_UNSYNCED = frozenset({"nobarrier", "barrier=0", "eatmydata"})

# What a store keeps beside its metadata's directory, by what is added to the directory's name.
BESIDE = (
    ".access-logs", ".cluster", ".lock", ".run", ".server", ".server.json", ".server.new", ".usage",
)  # fmt: skip


def examine_directories(config: Config) -> Iterator[Finding]:
    """Yield what was found of the metadata's directory and the OSDs'."""
    meta_dir = config.storage.meta_dir
    found = [*_directory("metadata", _existing(meta_dir), config)]
    beside = [meta_dir.with_name(meta_dir.name + suffix) for suffix in BESIDE]
    if foreign := denied(meta_dir, *beside):
        found.append(Finding("metadata", Level.BAD, foreign))
    yield from dict.fromkeys(found)  # both looks may tell of the directory itself
    osds = {osd.id: osd.path for osd in config.osds}
    try:
        osds = _mapped(config) or osds
    except (MetadataError, lmdb.Error) as error:
        yield Finding("metadata", Level.BAD, str(error))
    except OSError as error:
        if not foreign:
            yield Finding("metadata", Level.BAD, str(error))
    for number, path in osds.items():
        try:
            yield from _osd(f"OSD {number}", path, config)
        except OSError as error:
            yield Finding(f"OSD {number}", Level.BAD, f"{path}: {error.strerror}")
    yield from _shared_disks([*osds.values()])


def _mapped(config: Config) -> dict[int, Path]:
    """Return where the OSDs of the map are, which may be others than those of the settings.

    Empty before the first start. Raises MetadataError.
    """
    storage = config.storage
    if not (storage.meta_dir / "data.mdb").exists():
        return {}
    size = storage.map_size_gib << 30
    env = open_environment(storage.meta_dir, map_size=size, max_readers=1_024)
    try:
        view = LmdbView(env, env.open_db(ROWS, create=False))
        try:
            row = view.get(MAP_KEY)
            numbers = [] if row is None else [osd.id for osd in decode(MapRecord, row).osds]
            rows = {number: view.get(osd_key(number)) for number in numbers}
            return {n: Path(decode(OsdRecord, row).path) for n, row in rows.items() if row}
        finally:
            view.close()
    finally:
        env.close()


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
    if foreign := denied(path):
        yield Finding(name, Level.BAD, foreign)
        return
    try:
        found = identity_of(str(path))
    except IdentityError as error:
        if any(path.iterdir()):
            yield Finding(name, Level.BAD, str(error))
            return
    else:
        if f"OSD {found.osd}" != name:
            yield Finding(name, Level.BAD, f"{path} is OSD {found.osd}")
            return
    yield from _directory(name, path, config)


def _directory(name: str, path: Path, config: Config) -> Iterator[Finding]:
    """Look at the file system of a directory: its kind, its room, and how long a sync takes."""
    kind, options = _mount(path)
    if kind in _UNFIT or kind in _FORGETFUL:
        level = Level.BAD if kind in _UNFIT else Level.WARNING
        yield Finding(name, level, f"{path} is on {kind}: give it a local file system on a disk")
    if unsynced := _UNSYNCED & options:
        text = f"{path} is mounted with {', '.join(unsynced)}: a power cut may lose what was synced"
        yield Finding(name, Level.BAD, text)
    if "ro" in options:
        yield Finding(name, Level.BAD, f"{path} is mounted read-only: see dmesg for why")
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        text = f"{path} cannot be read and written by user {os.geteuid()}: chmod u+rwx it"
        yield Finding(name, Level.BAD, text)
        return
    room = os.statvfs(path)
    blocks = room.f_blocks - room.f_bfree
    used = blocks / max(blocks + room.f_bavail, 1)  # as df(1), and as the server itself has it
    storage, gib = config.storage, room.f_bavail * room.f_frsize / (1 << 30)
    full = Level.BAD if used >= storage.full_ratio else Level(used >= storage.nearfull_ratio)
    text = f"{path}: {kind}, {gib:.1f} GiB free, {used:.0%} used"
    if full is not Level.OK:
        text += f", full from {storage.full_ratio:.0%}: add disks, or delete"
    yield Finding(name, full, text)
    if room.f_files and room.f_favail / room.f_files < _INODES:
        level = Level.WARNING if room.f_favail else Level.BAD
        yield Finding(name, level, f"{path}: {room.f_favail} inodes free")
    if (took := _sync_ms(path)) is not None:
        text = f"a synced write takes {took:.1f} ms" + (
            ": every upload waits for it" if took > _SLOW_MS else ""
        )
        yield Finding(name, Level.WARNING if took > _SLOW_MS else Level.OK, text)


def _mount(path: Path) -> tuple[str, frozenset[str]]:
    """Return type and options of the file system that a path lies on, from /proc/self/mounts."""
    device = path.stat().st_dev
    found: tuple[str, frozenset[str]] = ("unknown", frozenset())
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, mount, kind, options, *_ = line.split()
        with suppress(OSError):
            if os.stat(mount.encode().decode("unicode_escape")).st_dev == device:
                found = kind, frozenset(options.split(","))
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
    on: Counter[str] = Counter()
    for path in paths:
        with suppress(OSError):  # was told of with the OSD
            on.update(_disks_of(path.stat().st_dev))
    shared = {disk: count for disk, count in on.items() if count > 1}
    if shared:
        text = ", ".join(
            f"{count} of {len(paths)} OSDs are on {disk}" for disk, count in shared.items()
        )
        yield Finding("disks", Level.WARNING, f"{text}: they are lost together")


def _disks_of(device: int) -> set[str]:
    """Return the disks that a file system lies on, through partitions and the device mapper."""
    number = f"{os.major(device)}:{os.minor(device)}"
    block = Path(f"/sys/dev/block/{number}")
    if not block.exists():
        return {f"device {number}"}
    return _whole_disks(block.resolve())


def _whole_disks(block: Path) -> set[str]:
    if (block / "partition").exists():
        block = block.parent
    parts = sorted((block / "slaves").iterdir()) if (block / "slaves").is_dir() else []
    if not parts:
        return {block.name}
    return set[str]().union(*(_whole_disks(part.resolve()) for part in parts))
