"""Volume files: appending small blobs to one, and reading a blob out of any. Format: layout.py."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s3server.data.base import MissingError, UnavailableError
from s3server.data.layout import (
    RECORD_HEADER,
    VOLUME_HEADER,
    is_record,
    record_header,
    volume_header,
)
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OURS, OsdSet
from s3server.data.vfs import Handle, Vfs, sync_directory
from s3server.model import DataRef, ShardPlace

# (blob, shard index, "missing" or "corrupt"); called from any thread.
OnDamage = Callable[[DataRef, int, str], None]

_LOOKS_PER_OPENING = 8  # at open volumes, on average
RECORDS_PER_WRITE = 511  # two buffers each, and append_durably() takes 1023


@dataclass(frozen=True, slots=True)
class Record:
    """A small blob as it is appended."""

    header: bytes
    data: bytes | bytearray

    @property
    def size(self) -> int:
        return RECORD_HEADER + len(self.data)


class VolumeWriter:
    """The one volume of an OSD that this process appends to. Blocks; used by one thread at a time.

    After an error the volume must not be appended to again: what a failed sync left on the disk
    is unknown.
    """

    def __init__(self, osd: DirectoryOsd, volume: bytes) -> None:
        """Create the volume durably, locked before others can see it; OSError where that fails."""
        self.id = volume
        self.end = VOLUME_HEADER
        self.since_s = time.monotonic()
        self._osd = osd
        osd.confirm()
        vfs = osd.vfs
        incoming = osd.incoming_path(f"{volume.hex()}.vol")
        self._handle = Handle(vfs, vfs.create(incoming))
        try:
            vfs.lock(self._handle.fd)
            _write(vfs.append_durably(self._handle.fd, [volume_header(volume)], 0), self.end)
            vfs.rename(incoming, osd.volume_path(volume))
            sync_directory(vfs, f"{osd.path}/volumes")
        except OSError:
            for path in (incoming, osd.volume_path(volume)):
                with contextlib.suppress(OSError):
                    vfs.unlink(path)
            raise

    def append(self, records: Sequence[Record]) -> list[int]:
        """Make the records durable in the volume and return their offsets, or raise OSError.

        FileNotFoundError where somebody has removed the volume: nobody else can open it.
        """
        offsets = []
        for at in range(0, len(records), RECORDS_PER_WRITE):
            some = records[at : at + RECORDS_PER_WRITE]
            buffers = [buffer for record in some for buffer in (record.header, record.data)]
            size = sum(record.size for record in some)
            _write(self._osd.vfs.append_durably(self._handle.fd, buffers, self.end), size)
            for record in some:
                offsets.append(self.end)
                self.end += record.size
        if self._osd.vfs.stat(self._handle.fd).st_nlink == 0:
            path = self._osd.volume_path(self.id)
            raise FileNotFoundError(errno.ENOENT, "removed while it was written to", path)
        return offsets

    def seal(self) -> None:
        """Cut off what was written ahead, as nothing will be appended any more, or raise OSError.

        Where that does not happen, nobody minds the zeros, and compaction frees their space.
        """
        self._osd.vfs.truncate(self._handle.fd, self.end)

    def discard_if_empty(self) -> None:
        """Unlink the volume if nothing in it was acknowledged: a full disk leaves no litter."""
        if self.end == VOLUME_HEADER:
            with contextlib.suppress(OSError):
                self._osd.vfs.unlink(self._osd.volume_path(self.id))


def _write(written: int, size: int) -> None:
    if written != size:  # the kernel cuts writes to files short only when space runs out
        raise OSError(errno.ENOSPC, f"{written} of {size} bytes written")


class VolumeReader:
    """Reads small blobs, each verified against its DataRef. Thread-safe."""

    def __init__(self, osds: OsdSet, on_damage: OnDamage, *, open_files: int = 256) -> None:
        self._osds = osds
        self._on_damage = on_damage
        self._limit = open_files
        self._open: OrderedDict[tuple[int, bytes], Handle] = OrderedDict()
        self._opens = 0  # since the last look for removed ones
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the volumes: they close with the last read that is under way."""
        with self._lock:
            self._open.clear()

    def read_cached(self, ref: DataRef, start: int, stop: int) -> bytes | None:
        """Return bytes of a blob if that needs no waiting for a disk, else None."""
        for index, place in enumerate(ref.shards):
            handle = self._cached(place)
            if handle is None:
                continue
            record = bytearray(RECORD_HEADER + ref.size)
            try:
                found = self._osds.open[place.osd].vfs.pread_cached(handle.fd, record, place.offset)
            except OSError:
                return None
            if found != len(record):
                return None
            if is_record(record, ref.blob, ref.size, ref.crc32c):
                return bytes(memoryview(record)[RECORD_HEADER + start : RECORD_HEADER + stop])
            self._on_damage(ref, index, "corrupt")
        return None

    def read(self, ref: DataRef, start: int, stop: int) -> bytes:
        """Return bytes of a blob from the first whole copy; UnavailableError if there is none."""
        for index in range(len(ref.shards)):
            state, record = self._read_copy(ref, index)
            if state == "ok":
                return record[RECORD_HEADER + start : RECORD_HEADER + stop]
            if self._osds.is_whole(ref.shards[index].osd):
                self._on_damage(ref, index, state)
        raise UnavailableError(f"blob {ref.blob.hex()}: no copy can be read")

    def check(self, ref: DataRef, *, deep: bool) -> list[str]:
        """Return the state of each copy; not `deep`: whether its header and all its bytes exist."""
        return [self._read_copy(ref, index, deep=deep)[0] for index in range(len(ref.shards))]

    def copies(self, ref: DataRef) -> tuple[list[str], bytes | None]:
        """Return the state of each copy, and the blob from one that is whole."""
        found = [self._read_copy(ref, index) for index in range(len(ref.shards))]
        whole = next((record for state, record in found if state == "ok"), None)
        return [state for state, _ in found], whole and whole[RECORD_HEADER:]

    def _read_copy(self, ref: DataRef, index: int, *, deep: bool = True) -> tuple[str, bytes]:
        place = ref.shards[index]
        if place.osd in self._osds.silent:
            return "missing", b""
        with self._osds.calling(place.osd):
            return self._read_place(ref, place, deep)

    def _read_place(self, ref: DataRef, place: ShardPlace, deep: bool) -> tuple[str, bytes]:
        try:
            handle = self._cached(place) or self._opened(place)
            vfs = self._osds.open[place.osd].vfs
            if not deep:
                header = vfs.pread(handle.fd, RECORD_HEADER, place.offset)
                end = place.offset + RECORD_HEADER + ref.size
                is_there = header == record_header(ref.blob, ref.size, ref.crc32c)
                is_there &= vfs.stat(handle.fd).st_size >= end
                return ("ok" if is_there else "corrupt"), b""
            record = vfs.pread(handle.fd, RECORD_HEADER + ref.size, place.offset)
        except MissingError:
            return "missing", b""
        except OSError as error:
            if error.errno in OURS:
                raise UnavailableError(str(error)) from error
            return "missing", b""
        return ("ok" if is_record(record, ref.blob, ref.size, ref.crc32c) else "corrupt"), record

    def _cached(self, place: ShardPlace) -> Handle | None:
        key = (place.osd, place.volume)
        with self._lock:
            handle = self._open.get(key)
            if handle is not None:
                self._open.move_to_end(key)
        return handle

    def _opened(self, place: ShardPlace) -> Handle:
        osd = self._osds.open.get(place.osd)
        if osd is None:
            raise MissingError(f"OSD {place.osd} is not here")
        handle = Handle(osd.vfs, osd.vfs.open(osd.volume_path(place.volume)))
        with self._lock:
            self._open[place.osd, place.volume] = handle
            self._let_go_of_removed()
            while len(self._open) > self._limit:
                self._open.popitem(last=False)
        return handle

    def _let_go_of_removed(self) -> None:
        """Close volumes that compaction removed, so that their space is free; also lost ones.

        Not at each opening, as a reader of many volumes would do little else.
        """
        self._opens += 1
        if self._opens * _LOOKS_PER_OPENING < len(self._open):
            return
        self._opens = 0
        for key, handle in list(self._open.items()):
            osd = self._osds.open.get(key[0])
            if osd is None or osd.id in self._osds.silent or _is_lost(osd.vfs, handle):
                del self._open[key]


def _is_lost(vfs: Vfs, handle: Handle) -> bool:
    """Tell whether an open file has no name any more, or belongs to a disk that has failed."""
    try:
        return vfs.stat(handle.fd).st_nlink == 0
    except OSError:
        return True
