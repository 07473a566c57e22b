"""What all counters have to be: counted anew from the rows that they are about."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from s3server.core import records
from s3server.core.project_records import (
    BUCKETS,
    TALLY,
    WAITING,
    project_scope,
)
from s3server.core.quotas import counted_buckets
from s3server.core.records import (
    BucketRecord,
    GarbageRecord,
    ObjectRecord,
    PartRecord,
    Record,
    UploadRecord,
)
from s3server.core.tally import Tally
from s3server.meta.base import Add, Write

_NAMES = frozenset(name.encode() for name in (*records.BUCKET_COUNTERS, BUCKETS, WAITING))
_BUCKET_ID = slice(1, 9)


class Recount:
    """Sees every row of one state of the store, in any order, and then knows the counters."""

    def __init__(self) -> None:
        self._expected: Counter[bytes] = Counter()
        self._buckets: dict[bytes, BucketRecord] = {}
        self._versions: dict[bytes, Counter[tuple[str, str]]] = defaultdict(Counter)
        self._uploads: dict[bytes, tuple[bytes, str]] = {}  # bucket and owner by upload
        self._parts: Counter[bytes] = Counter()  # bytes by upload

    def see(self, key: bytes, record: Record) -> None:
        """Take note of a row."""
        if isinstance(record, ObjectRecord):
            self._see_version(key, record)
        elif isinstance(record, UploadRecord):
            self._uploads[record.id] = key[_BUCKET_ID], record.owner
            self._versions[key[_BUCKET_ID]][record.owner, "uploads"] += 1
        elif isinstance(record, PartRecord):
            self._parts[key[1:17]] += record.size
        elif isinstance(record, GarbageRecord):
            self._expected[project_scope(record.project) + WAITING.encode()] += record.size
        elif isinstance(record, BucketRecord):
            self._buckets[record.id] = record
            self._apply(counted_buckets(record.owner, record.account, 1))

    def _see_version(self, key: bytes, record: ObjectRecord) -> None:
        counts = self._versions[key[_BUCKET_ID]]
        if record.is_delete_marker:
            counts[record.owner, "markers"] += 1
            return
        old = key[:1] == records.VERSION
        counts[record.owner, "old" if old else "objects"] += 1
        counts[record.owner, "old_bytes" if old else "bytes"] += record.space

    @property
    def strays(self) -> int:
        """How many buckets have versions or uploads, but no row."""
        return len(self._versions.keys() - self._buckets.keys())

    def differences(self, stored: Mapping[bytes, int]) -> Iterator[str]:
        """Yield how stored counters, by their keys, differ from what was seen."""
        for upload, size in self._parts.items():
            if upload in self._uploads:
                bucket, owner = self._uploads[upload]
                self._versions[bucket][owner, "part_bytes"] += size
        for bucket_id, counts in self._versions.items():
            if bucket_id in self._buckets:
                tally = Tally(self._buckets[bucket_id])
                for (owner, name), count in counts.items():
                    tally.add(owner, **{name: count})
                self._apply(tally.writes)
        for key in sorted(self._expected.keys() | {key for key in stored if self._is_ours(key)}):
            expected, found = self._expected[key], stored.get(key, 0)
            if expected != found:
                yield f"{self._told(key)}: {expected}, counted {found}"

    def _apply(self, writes: list[Write]) -> None:
        for write in writes:
            if isinstance(write, Add):
                self._expected[write.key] += write.delta

    def _is_ours(self, key: bytes) -> bool:
        if key[:1] == TALLY:
            return key.rpartition(b"\0")[2] in _NAMES
        return key[:1] == records.COUNTER and key[9:] in _NAMES

    def _told(self, key: bytes) -> str:
        if key[:1] == TALLY:
            scope, _, name = key[2:].rpartition(b"\0")
            kind = "project" if key[1:2] == b"P" else "user"
            return f"{kind} {scope.decode()}: {name.decode()}"
        bucket = self._buckets.get(key[_BUCKET_ID])
        shown = key[_BUCKET_ID].hex() if bucket is None else bucket.name
        return f"bucket {shown}: {key[9:].decode()}"
