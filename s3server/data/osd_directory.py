"""One OSD: a directory on a disk of its own, with an identity file, volumes and shard files.

    osd.json                     who this is: format_version, cluster, osd, uuid
    incoming/                    files being written; what a dead process left is swept
    volumes/<16 hex>.vol         small blobs (layout.py); whoever appends holds the file's flock
    shards/<2 hex>/<32 hex>.<n>  one shard of a large blob each, never overwritten; the directory is
                                 made with its first shard
    journal/                     copies of the metadata's journal and snapshots (meta/)

A mount point whose disk is missing has no identity file, so it is refused instead of filling the
disk below it.
"""

from __future__ import annotations

import contextlib
import errno
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from s3server.data.base import CorruptError, DataError, MissingError, UnavailableError
from s3server.data.layout import (
    FORMAT_VERSION,
    PAGE,
    RECORD_HEADER,
    RECORD_MAGIC,
    VOLUME_HEADER,
    Shard,
    parse_record_header,
    volume_header,
)
from s3server.data.vfs import Handle, Vfs, sync_directory

_IDENTITY = "osd.json"
_OURS_TO_IGNORE = frozenset({"lost+found"})  # mkfs makes it
_SEARCH_BYTES = 1 << 20
_FAN_OUT = [f"{number:02x}" for number in range(256)]
_DIRECTORIES = ("incoming", "journal", "volumes", "shards")


class IdentityError(DataError):
    """A directory is not the OSD that was asked for."""


class Identity(msgspec.Struct, frozen=True):
    """What an OSD's identity file says."""

    format_version: int
    cluster: str
    osd: int
    uuid: str


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A shard file as found in a listing."""

    blob: bytes
    index: int
    modified_s: float  # since the epoch


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A volume file as found in a listing; `is_open` where some process appends to it."""

    id: bytes
    size: int
    modified_s: float  # since the epoch
    is_open: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Space of an OSD's file system in bytes; `free` is what we may use."""

    total: int
    free: int
    used: int = 0

    @property
    def used_ratio(self) -> float:
        """Used space as a share of what can be used at all, like df(1) has it."""
        usable = self.used + self.free
        return self.used / usable if usable else float(self.total > 0)  # 0: it does not tell


class DirectoryOsd:
    """An opened OSD. Methods block; those that write raise OSError."""

    def __init__(self, path: str, osd: int, vfs: Vfs, uuid: str = "") -> None:
        self.path = path
        self.id = osd
        self.vfs = vfs
        self.uuid = uuid
        self._stamp: tuple[int, int, bytes] | None = None
        self._durable: set[str] = set()  # directories of shards that surely are

    @classmethod
    def initialise(
        cls, path: str, *, cluster: str, osd: int, identity: str = "", vfs: Vfs | None = None
    ) -> DirectoryOsd:
        """Make an empty or absent directory an OSD, durably; IdentityError if it is not empty.

        `identity` is its uuid. What an initialisation that died has left is taken up where it is:
        empty directories. Of two at the same time the second finds it made.
        """
        vfs = vfs or Vfs()
        _make_directory(vfs, path)
        with cls(path, osd, vfs)._locked(path):
            _check_unused(vfs, path)
            cls(path, osd, vfs)._make_directories()
            known = Identity(FORMAT_VERSION, cluster, osd, identity or str(uuid.uuid4()))
            with contextlib.suppress(FileNotFoundError):
                vfs.unlink(f"{path}/incoming/{_IDENTITY}")
            handle = Handle(vfs, vfs.create(f"{path}/incoming/{_IDENTITY}"))
            vfs.pwrite(handle.fd, msgspec.json.encode(known) + b"\n", 0)
            vfs.fsync(handle.fd)
            vfs.rename(f"{path}/incoming/{_IDENTITY}", f"{path}/{_IDENTITY}")
            sync_directory(vfs, path)
        return cls.open(path, cluster=cluster, osd=osd, vfs=vfs)

    @classmethod
    def open(
        cls, path: str, *, cluster: str, osd: int, uuid: str = "", vfs: Vfs | None = None
    ) -> DirectoryOsd:
        """Return the OSD in this directory; IdentityError where it is absent or another one.

        With `uuid` one that was made again under the same number is another one.
        """
        vfs = vfs or Vfs()
        identity = identity_of(path, vfs)
        if identity.format_version > FORMAT_VERSION:
            raise IdentityError(
                f"{path} has format {identity.format_version}, newer than this program's "
                f"{FORMAT_VERSION}"
            )
        if identity.cluster != cluster:
            raise IdentityError(f"{path} belongs to cluster {identity.cluster}, not to {cluster}")
        if identity.osd != osd:
            raise IdentityError(f"{path} is OSD {identity.osd}, not OSD {osd}")
        if uuid and identity.uuid != uuid:
            raise IdentityError(f"{path} is an OSD {osd} of uuid {identity.uuid}, not {uuid}")
        opened = cls(path, osd, vfs, identity.uuid)
        opened._stamp = opened._identity_stamp()
        return opened

    def confirm(self) -> None:
        """Raise OSError where something else has come to lie at this path: never write there."""
        try:
            found = self._identity_stamp()
        except FileNotFoundError as error:
            reason = f"{self.path} has no {_IDENTITY}; is it mounted?"
            raise OSError(errno.ENODEV, reason) from error
        if found != self._stamp:
            raise OSError(errno.ENODEV, f"{self.path} is no longer the OSD that was opened")

    def probe(self) -> None:
        """Raise OSError unless this is the OSD that was opened, and takes a file durably.

        A directory of it that fsck took, or somebody, is made again: found well without it, this
        would be down with its next write. What lay there is missed by scrubs.
        """
        self.confirm()
        self._make_directories()
        sync_directory(self.vfs, self.path)
        path = self.incoming_path(f"probe.{uuid.uuid4().hex}")
        handle = Handle(self.vfs, self.vfs.create(path))
        try:
            self.vfs.pwrite(handle.fd, bytes(PAGE), 0)
            self.vfs.fsync(handle.fd)
        finally:
            self.vfs.unlink(path)
        sync_directory(self.vfs, f"{self.path}/incoming")

    def incoming_path(self, name: str) -> str:
        """Return where a file is written before it has its place."""
        return f"{self.path}/incoming/{name}"

    def shard_path(self, blob: bytes, index: int) -> str:
        return f"{self.path}/shards/{blob[-1]:02x}/{blob.hex()}.{index}"

    def volume_path(self, volume: bytes) -> str:
        return f"{self.path}/volumes/{volume.hex()}.vol"

    def make_place(self, shard: Shard) -> None:
        """Make the directory that a shard will lie in; not durable before the shard has its place.

        Early: the file system then commits it with the shard's bytes. Each time: fsck may have
        taken one that this process knows, between two mounts.
        """
        directory = self.shard_path(shard.blob, shard.index).rpartition("/")[0]
        with contextlib.suppress(FileExistsError):
            self.vfs.mkdir(directory)
            self._durable.discard(directory)

    def publish_shard(self, shard: Shard) -> None:
        """Give a finished file in incoming/ its place, durably."""
        target, directory = self._confirm_place(shard)
        self.vfs.rename(self.incoming_path(shard.file_name), target)
        sync_directory(self.vfs, directory)

    def replace_shard(self, shard: Shard) -> None:
        """Give a finished file its place as publish_shard() does, where an old one may lie."""
        target, directory = self._confirm_place(shard)
        with self._locked(directory) as fd:
            self.vfs.rename(self.incoming_path(shard.file_name), target)
            self.vfs.fsync(fd)

    def remove_shard(self, blob: bytes, index: int) -> None:
        """Unlink a shard file; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.vfs.unlink(self.shard_path(blob, index))

    def remove_old_shard(self, blob: bytes, index: int, until_s: float) -> bool:
        """Unlink a shard file that was not written to after this time; tell whether it was.

        One that a repair has put in the place of an old one meanwhile stays.
        """
        path = self.shard_path(blob, index)
        with contextlib.suppress(FileNotFoundError), self._locked(path.rpartition("/")[0]):
            handle = self._open(path)
            if self.vfs.stat(handle.fd).st_mtime <= until_s:
                self.vfs.unlink(path)
                return True
        return False

    def list_shards(self) -> Iterator[ShardFile]:
        """Yield every shard file; one that goes meanwhile may be left out."""
        found = set(self.vfs.names(f"{self.path}/shards"))
        for directory in filter(found.__contains__, _FAN_OUT):
            for name in self.vfs.names(f"{self.path}/shards/{directory}"):
                blob, _, index = name.partition(".")
                with contextlib.suppress(FileNotFoundError, ValueError):
                    handle = self._open(f"{self.path}/shards/{directory}/{name}")
                    modified_s = self.vfs.stat(handle.fd).st_mtime
                    yield ShardFile(bytes.fromhex(blob), int(index), modified_s)

    def list_volumes(self) -> Iterator[VolumeFile]:
        """Yield every volume file."""
        for name in self.vfs.names(f"{self.path}/volumes"):
            with contextlib.suppress(FileNotFoundError, ValueError):
                volume = bytes.fromhex(name.removesuffix(".vol"))
                handle = self._open(self.volume_path(volume))
                found = self.vfs.stat(handle.fd)
                is_open = not self.vfs.lock(handle.fd)
                yield VolumeFile(volume, found.st_size, found.st_mtime, is_open)

    def scan_volume(self, volume: bytes) -> Iterator[tuple[bytes, int, int]]:
        """Yield blob id, offset and size of each record; the torn end of a volume is left out.

        Behind a header that is damaged the search goes on, byte by byte, so that no record that
        can be read is left out; what looks like one within the data of a damaged record may be
        yielded too. Data is not verified here: reading a record does that. Raises MissingError,
        or CorruptError where the file is no volume of this id.
        """
        try:
            handle = self._open(self.volume_path(volume))
        except FileNotFoundError as error:
            raise MissingError(f"{self.path}: no volume {volume.hex()}") from error
        if self.vfs.pread(handle.fd, VOLUME_HEADER, 0) != volume_header(volume):
            raise CorruptError(f"{self.path}: {volume.hex()}.vol has no header of this volume")
        end = self.vfs.stat(handle.fd).st_size
        at = VOLUME_HEADER
        while at < end:
            record = parse_record_header(self.vfs.pread(handle.fd, RECORD_HEADER, at))
            after = at + RECORD_HEADER + record[1] if record else 0
            if record and after <= end:
                yield record[0], at, record[1]
                at = after
            else:
                at = self._find_magic(handle, at + 1, end)

    def _find_magic(self, handle: Handle, start: int, end: int) -> int:
        """Return where bytes like the beginning of a record come next; `end` where none do."""
        for at in range(start, end, _SEARCH_BYTES):
            found = self.vfs.pread(handle.fd, _SEARCH_BYTES + len(RECORD_MAGIC) - 1, at).find(
                RECORD_MAGIC
            )
            if found >= 0:
                return at + found
        return end

    def remove_volume(self, volume: bytes) -> None:
        """Unlink a volume, if it is there; UnavailableError while some process appends to it."""
        with contextlib.suppress(FileNotFoundError):
            handle = self._open(self.volume_path(volume))
            if not self.vfs.lock(handle.fd):
                raise UnavailableError(f"{self.path}: volume {volume.hex()} is being written")
            self.vfs.unlink(self.volume_path(volume))

    def sweep_incoming(self, older_than_s: float, now: float) -> int:
        """Remove what dead processes left in incoming/; return how many files that were.

        A file goes when nobody holds its lock and it was not written to for `older_than_s`,
        seen from `now` (seconds since the epoch).
        """
        removed = 0
        for name in self.vfs.names(f"{self.path}/incoming"):
            with contextlib.suppress(FileNotFoundError):
                handle = self._open(self.incoming_path(name))
                is_old = now - self.vfs.stat(handle.fd).st_mtime > older_than_s
                if is_old and self.vfs.lock(handle.fd):
                    self.vfs.unlink(self.incoming_path(name))
                    removed += 1
        return removed

    def read_at(self, path: str, size: int, offset: int) -> bytes:
        """Return up to `size` bytes of a file."""
        handle = self._open(path)
        return self.vfs.pread(handle.fd, size, offset)

    def size_of(self, path: str) -> int:
        """Return the length of a file, bytes."""
        handle = self._open(path)
        return self.vfs.stat(handle.fd).st_size

    def usage(self) -> Usage:
        """Return the space of the file system that holds this OSD."""
        found = self.vfs.usage(self.path)
        size = found.f_frsize
        return Usage(
            found.f_blocks * size, found.f_bavail * size, (found.f_blocks - found.f_bfree) * size
        )

    def _confirm_place(self, shard: Shard) -> tuple[str, str]:
        """Return the path of a shard, and its directory, which is there durably.

        One that was there already may be another process's, which has yet to make it durable.
        """
        path = self.shard_path(shard.blob, shard.index)
        directory = path.rpartition("/")[0]
        if directory not in self._durable:
            sync_directory(self.vfs, f"{self.path}/shards")
            self._durable.add(directory)
        return path, directory

    def _make_directories(self) -> None:
        for name in _DIRECTORIES:
            with contextlib.suppress(FileExistsError):
                self.vfs.mkdir(f"{self.path}/{name}")

    def _identity_stamp(self) -> tuple[int, int, bytes]:
        """Return what tells this OSD from others; disks made alike share the first two."""
        handle = self._open(f"{self.path}/{_IDENTITY}")
        found = self.vfs.stat(handle.fd)
        return found.st_dev, found.st_ino, self.vfs.pread(handle.fd, PAGE, 0)

    @contextlib.contextmanager
    def _locked(self, directory: str) -> Iterator[int]:
        """Hold the lock of a directory, which is given up at once, even where an error is kept."""
        fd = self.vfs.open(directory)
        try:
            self.vfs.lock_in_turn(fd)
            yield fd
        finally:
            self.vfs.close(fd)

    def _open(self, path: str) -> Handle:
        return Handle(self.vfs, self.vfs.open(path))


def _make_directory(vfs: Vfs, path: str) -> None:
    """Make a directory, and those above it that are missing, durably."""
    above = path.rpartition("/")[0] or "/"
    try:
        vfs.mkdir(path)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_directory(vfs, above)
        vfs.mkdir(path)
    sync_directory(vfs, above)


def _check_unused(vfs: Vfs, path: str) -> None:
    """Raise IdentityError where a directory holds more than a half-made OSD: its directories."""
    ours = {name for name in vfs.names(path) if name not in _OURS_TO_IGNORE}
    found = sorted(ours.difference(_DIRECTORIES))
    for name in filter(ours.__contains__, _DIRECTORIES):
        inner = {f"{name}/{each}" for each in vfs.names(f"{path}/{name}")}
        found += sorted(inner - {f"incoming/{_IDENTITY}"})
    if found:
        raise IdentityError(f"{path} is not empty: it holds {found[0]}")


def identity_of(path: str, vfs: Vfs | None = None) -> Identity:
    """Return the identity of the OSD in a directory; IdentityError where there is none."""
    vfs = vfs or Vfs()
    try:
        handle = Handle(vfs, vfs.open(f"{path}/{_IDENTITY}"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IdentityError(f"{path} is no OSD: it has no {_IDENTITY}; is it mounted?") from error
    try:
        return msgspec.json.decode(vfs.pread(handle.fd, 65536, 0), type=Identity)
    except msgspec.DecodeError as error:
        raise IdentityError(f"{path}/{_IDENTITY} cannot be read: {error}") from error
