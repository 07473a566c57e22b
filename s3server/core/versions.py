"""The versions of a key: which one is current, and what a change of them writes and checks.

The newest version is the current one. Where it is an object its row lies in table O; a delete
marker lies in table V even while it is the newest, so that listings of keys never meet markers.
Older versions lie in V, newest first. What has no version id is the null version, of which a key
has one at most; where that one lies in V, a row in table W names its sequence.

Every plan checks the top of the key (the row in O, or the newest one in V) to be what it read, so
that versions are in the order of their commits, and removing one never strands those below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.clock import Clock
from s3server.core.lifecycle_rules import Calendar, look_at
from s3server.core.locks import check_removable
from s3server.core.records import BucketRecord, ObjectRecord, Remembering, decode, encode
from s3server.core.tally import Tally
from s3server.errors import InvalidArgument, NoSuchBucket
from s3server.meta.base import (
    Check,
    ConflictError,
    Delete,
    Empty,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
)

NULL_VERSION = "null"
_ID_BYTES = 8
_decode_bucket = Remembering(BucketRecord)  # each change reads its bucket


class Located(msgspec.Struct, frozen=True, gc=False):
    """A version, with the row that it is stored as."""

    key: bytes  # of the row
    row: bytes
    record: ObjectRecord

    @property
    def check(self) -> Check:
        return Unchanged(self.key, self.row)


@dataclass(slots=True)
class Stack:
    """The top of a key's versions as a plan has read it, and what the plan does to them."""

    bucket: BucketRecord  # as it was read with them
    key: str
    top: Located | None  # the newest version
    changes: list[Write] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    touch: list[Write] = field(default_factory=list)  # goes with any change
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(self.bucket)

    @property
    def writes(self) -> list[Write]:
        """All that the plan writes."""
        return [*self.changes, *self.tally.writes, *self.touch] if self.changes else []

    @property
    def current(self) -> ObjectRecord | None:
        """The current version, None where that is a delete marker."""
        if self.top is None or self.top.record.is_delete_marker:
            return None
        return self.top.record


class Versions:
    """Reads and plans changes of the versions of keys."""

    def __init__(
        self, meta: MetadataStore, blobs: Blobs, *, clock: Clock, calendar: Calendar
    ) -> None:
        self._meta, self._blobs, self._clock = meta, blobs, clock
        self._calendar = calendar

    async def open(self, bucket: BucketRecord, key: str) -> Stack:
        """Read what a plan needs. Raises NoSuchBucket where the bucket is another one by now."""
        bucket_key, object_key = records.bucket_key(bucket.name), records.object_key(bucket.id, key)
        bucket_row, row = await self._meta.get_many((bucket_key, object_key))
        stack = Stack(same_bucket(bucket, bucket_row), key, None)
        stack.touch = self.touch(stack.bucket, key)
        stack.checks = [Unchanged(bucket_key, bucket_row), Unchanged(object_key, row)]
        if row is not None:
            stack.top = Located(object_key, row, decode(ObjectRecord, row))
        elif stack.bucket.versioning:
            newest = await self._newest(stack.bucket, key)
            prefix = records.version_prefix(bucket.id, key)
            stack.checks.append(Empty(prefix, newest.key if newest else after_prefix(prefix)))
            if newest is not None:
                stack.top = newest
                stack.checks.append(newest.check)
        return stack

    async def push(self, stack: Stack, record: ObjectRecord) -> None:
        """Make `record` the newest version; a null version takes the place of the earlier one.

        Raises AccessDenied where that is locked.
        """
        bucket, key = stack.bucket, stack.key
        if not record.version_id:
            old = await self._null_below(stack)
            if old is not None:
                self._remove(stack, old)
        top = stack.top
        if top is not None and top.key[:1] == records.OBJECT:
            if not record.version_id and not top.record.version_id:
                self._remove(stack, top)
            else:
                self._bury(stack, top)
        if record.is_delete_marker:
            self._put_below(stack, record)
        else:
            stack.changes.append(Put(records.object_key(bucket.id, key), encode(record)))
            stack.tally.version(record, 1, is_current=True)

    async def remove(self, stack: Stack, version: Located, *, bypass: bool = False) -> None:
        """Remove a version for good; where it was the newest, the one below it comes up.

        `bypass` lifts governance. Raises AccessDenied where the version is locked.
        """
        self._remove(stack, version, bypass=bypass)
        stack.checks.append(version.check)
        if stack.top is None or version.key != stack.top.key or not stack.bucket.versioning:
            return
        below = await self._newest(stack.bucket, stack.key, below=version.record.sequence)
        if below is None:
            return
        stack.checks.append(below.check)
        if not below.record.is_delete_marker:
            self._raise(stack, below)

    def touch(self, bucket: BucketRecord, key: str) -> list[Write]:
        """Return what tells lifecycle rules of a change: nothing where there are none."""
        if not bucket.lifecycle:
            return []
        midnight = self._calendar.midnight(self._clock.now_ms() + 1)
        return [look_at(bucket, key, midnight, self._blobs.ids.request_id())]

    async def find(self, bucket: BucketRecord, key: str, version_id: str) -> Located | None:
        """Return a version by its id. Raises InvalidArgument for what can be none.

        A version changes its place while it is looked for only where others write the key.
        """
        object_key = records.object_key(bucket.id, key)
        while version_id == NULL_VERSION:
            pointer_key = records.null_version_key(bucket.id, key)
            row, pointer = await self._meta.get_many((object_key, pointer_key))
            if row is not None and not (record := decode(ObjectRecord, row)).version_id:
                return Located(object_key, row, record)
            if pointer is None:
                return None
            sequence = int.from_bytes(pointer, "big")
            version_key = records.version_key(bucket.id, key, sequence)
            if (row := await self._meta.get(version_key)) is not None:
                return Located(version_key, row, decode(ObjectRecord, row))
        sequence = parse_version_id(version_id)
        version_key = records.version_key(bucket.id, key, sequence)
        for row_key, row in zip(
            (version_key, object_key),
            await self._meta.get_many((version_key, object_key)),
            strict=True,
        ):
            if row is None:
                continue
            record = decode(ObjectRecord, row)
            if record.sequence == sequence and record.version_id:
                return Located(row_key, row, record)
        return None

    async def marker(self, bucket: BucketRecord, key: str) -> ObjectRecord | None:
        """Return the newest version if that is a delete marker. For keys without a row in O."""
        newest = await self._newest(bucket, key) if bucket.versioning else None
        return newest.record if newest is not None and newest.record.is_delete_marker else None

    async def _newest(
        self, bucket: BucketRecord, key: str, below: int | None = None
    ) -> Located | None:
        """Return the newest version in V, or the newest older than a sequence."""
        start = prefix = records.version_prefix(bucket.id, key)
        if below is not None:
            start = records.version_key(bucket.id, key, below) + b"\0"
        rows = await self._meta.scan(start, after_prefix(prefix), limit=1)
        return Located(*rows[0], decode(ObjectRecord, rows[0][1])) if rows else None

    async def _null_below(self, stack: Stack) -> Located | None:
        """Return the null version that lies in V."""
        if not stack.bucket.versioning:
            return None
        pointer_key = records.null_version_key(stack.bucket.id, stack.key)
        pointer = await self._meta.get(pointer_key)
        check = Unchanged(pointer_key, pointer)
        stack.checks.append(check)
        if pointer is None:
            return None
        key = records.version_key(stack.bucket.id, stack.key, int.from_bytes(pointer, "big"))
        row = await self._meta.get(key)
        if row is None:  # gone since the pointer was read
            raise ConflictError(check)
        found = Located(key, row, decode(ObjectRecord, row))
        stack.checks.append(found.check)
        return found

    def _remove(self, stack: Stack, version: Located, *, bypass: bool = False) -> None:
        """Remove a version: every version that goes for good goes here, past its lock."""
        check_removable(version.record, self._clock.now_ms(), bypass=bypass)
        self._take_out(stack, version)
        stack.changes += self._blobs.give_up(
            *version.record.blobs, project=stack.bucket.account, size=version.record.space
        )

    def _bury(self, stack: Stack, version: Located) -> None:
        self._take_out(stack, version)
        self._put_below(stack, version.record)

    def _raise(self, stack: Stack, version: Located) -> None:
        self._take_out(stack, version)
        stack.changes.append(Put(records.object_key(stack.bucket.id, stack.key), version.row))
        stack.tally.version(version.record, 1, is_current=True)

    def _take_out(self, stack: Stack, version: Located) -> None:
        table = version.key[:1]
        stack.changes.append(Delete(version.key))
        stack.tally.version(version.record, -1, is_current=table == records.OBJECT)
        if table == records.VERSION and not version.record.version_id:
            stack.changes.append(Delete(records.null_version_key(stack.bucket.id, stack.key)))

    def _put_below(self, stack: Stack, record: ObjectRecord) -> None:
        bucket, key = stack.bucket, stack.key
        version_key = records.version_key(bucket.id, key, record.sequence)
        stack.changes.append(Put(version_key, encode(record)))
        stack.tally.version(record, 1, is_current=False)
        if not record.version_id:
            pointer = record.sequence.to_bytes(_ID_BYTES, "big")
            stack.changes.append(Put(records.null_version_key(bucket.id, key), pointer))


def same_bucket(bucket: BucketRecord, row: bytes | None) -> BucketRecord:
    """Return the bucket as it is now. Raises NoSuchBucket where a request's is gone."""
    found = None if row is None else _decode_bucket(row)
    if found is None or found.id != bucket.id:
        raise NoSuchBucket(BucketName=bucket.name)
    return found


def format_version_id(sequence: int) -> str:
    """Return the version id of a sequence: 16 hexadecimal digits."""
    return sequence.to_bytes(_ID_BYTES, "big").hex()


def parse_version_id(version_id: str) -> int:
    """Return the sequence of a version id. Raises InvalidArgument for what is none."""
    try:
        parsed = bytes.fromhex(version_id)
    except ValueError:
        parsed = b""
    if len(parsed) != _ID_BYTES or parsed.hex() != version_id:
        raise InvalidArgument(
            "Invalid version id specified", ArgumentName="versionId", ArgumentValue=version_id
        )
    return int.from_bytes(parsed, "big")


def shown_version_id(bucket: BucketRecord, record: ObjectRecord) -> str | None:
    """Return a version's id as clients see it; None in a bucket that never had versions."""
    return record.version_id or (NULL_VERSION if bucket.versioning else None)
