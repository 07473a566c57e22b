"""Shard files that stay open from one read to the next, verified as far as all reads need it.

Opening one, its trailer and its table cost several times what a range of some ten KiB costs by
itself, and readers of columnar files ask for thousands of those of one object.
"""

from __future__ import annotations

import threading

from s3server.data.layout import Shard
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.shardfiles import ShardFileReader

KEEP_S = 10.0  # files that nobody reads are let go of after this time, and before twice that
LIMIT = 256  # files, twice: a deleted one takes space while it is open

_Key = tuple[int, bytes, int]  # OSD, blob, index of the shard


class OpenShards:
    """The files that were read last. Thread-safe; a file is closed when its last reader ends.

    There are two generations: what is read comes into the young one; `turn()` drops the old one.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._young: dict[_Key, ShardFileReader] = {}
        self._old: dict[_Key, ShardFileReader] = {}
        self._lock = threading.Lock()

    def find(self, osd: DirectoryOsd, blob: bytes, index: int) -> ShardFileReader | None:
        """Return a shard's open file."""
        key = osd.id, blob, index
        reader = self._young.get(key)
        if reader is None and (reader := self._old.get(key)) is not None:
            self._keep(key, reader)
        return reader if reader is not None and reader.osd is osd else None

    def open(self, osd: DirectoryOsd, shard: Shard) -> ShardFileReader:
        """Open a shard's file and keep it. Blocks; raises what ShardFileReader raises."""
        reader = ShardFileReader(osd, shard)
        self._keep((osd.id, shard.blob, shard.index), reader)
        return reader

    def close(self) -> None:
        """Let go of all files: they close with the last read that is under way."""
        with self._lock:
            self._young, self._old = {}, {}

    def turn(self) -> bool:
        """Let go of what was not read since the last turn; tell whether any is left."""
        with self._lock:
            self._old, self._young = self._young, {}
        return bool(self._old)

    def _keep(self, key: _Key, reader: ShardFileReader) -> None:
        with self._lock:
            self._young[key] = reader
            is_too_many = len(self._young) >= self._limit
        if is_too_many:
            self.turn()
