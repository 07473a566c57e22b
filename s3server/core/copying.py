"""Copies: by reference where the pool stays the same, by reading and writing where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from s3server.core.blobs import Blobs
from s3server.core.commit import Commits, Plan
from s3server.core.etags import etag_of, md5_of
from s3server.core.objects import Attributes, NewVersion, Objects, Pairs, WriteCondition
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.meta.base import ConflictError, MetadataStore
from s3server.model import DataRef

HASH_INLINE_BYTES = 65_536  # hashing less takes no longer than handing it to a thread

# Given the version to copy: what the copy will say of itself. Raises where the source does not
# meet the conditions of the request.
Describe = Callable[[ObjectRecord], Attributes]


@dataclass(frozen=True, slots=True)
class CopySource:
    """What is to be copied: the current version of a key, or the one with an id."""

    bucket: BucketRecord
    key: str
    version_id: str | None = None


class Digests(Protocol):
    """Computes what S3 stores of bytes, while they are copied."""

    def update(self, data: memoryview) -> None:
        """Go on over `data`; runs in a thread where that is long."""
        ...

    @property
    def etag(self) -> str: ...

    @property
    def checksums(self) -> Pairs: ...


@dataclass(frozen=True, slots=True)
class WantedChecksum:
    """A checksum of all its bytes that a copy is to have, and what computes it."""

    name: str  # as stored: "ChecksumSHA256"
    new: Callable[[], Digests]

    def is_of(self, record: ObjectRecord) -> bool:
        """Whether a version has it."""
        names = [name for name, _ in record.checksums]
        return self.name in names and record.checksum_type == "FULL_OBJECT"


class _UnlikeError(Exception):
    """Source and copy cannot share bytes: one is encrypted, or they belong in two pools.

    Or the bytes are to be read, for another checksum of them.
    """


class Copying:
    """Copies of objects and of parts of objects."""

    def __init__(self, meta: MetadataStore, blobs: Blobs, objects: Objects) -> None:
        self._blobs, self._objects = blobs, objects
        self._commit = Commits(meta)

    async def copy(
        self,
        source: CopySource,
        target: tuple[BucketRecord, str],
        describe: Describe,
        condition: WriteCondition,
        checksum: WantedChecksum | None = None,
    ) -> ObjectRecord:
        """Copy a version; return the record of the copy, with a checksum of its own if asked for.

        Within a pool no bytes move: the copy refers to the blob of its source, in a commit that
        starts again if the source has changed meanwhile. Raises what Objects.locate() raises,
        PreconditionFailed and InvalidStorageClass.
        """

        async def plan() -> Plan[ObjectRecord]:
            found = await self._objects.locate(source.bucket, source.key, source.version_id)
            record = found.record
            new = _version_like(record, describe(record), condition)
            if bool(record.encryption) != bool(new.attributes.encryption):
                raise _UnlikeError
            if checksum is not None and not checksum.is_of(record):
                raise _UnlikeError
            lies_in = self._blobs.pool_that_has(source.bucket, record.storage_class)
            if lies_in != self._blobs.pool_of(target[0], new.attributes.storage_class):
                raise _UnlikeError
            shared = await self._blobs.share(record.blob)
            if shared is None:  # the source was replaced and collected since it was read
                raise ConflictError(found.check)
            new.blob, new.writes, new.checks = record.blob, *shared
            made = await self._objects.plan_version(*target, new)
            made.checks.append(found.check)
            return made

        try:
            return await self._commit(plan)
        except _UnlikeError:
            return await self._copy_bytes(source, target, describe, condition, checksum)

    async def _copy_bytes(
        self,
        source: CopySource,
        target: tuple[BucketRecord, str],
        describe: Describe,
        condition: WriteCondition,
        checksum: WantedChecksum | None,
    ) -> ObjectRecord:
        record = await self._objects.get(source.bucket, source.key, source.version_id)
        new = _version_like(record, describe(record), condition)
        new.part_count = 0  # the copy is one blob, its parts are no longer known
        await self._objects.foresee(*target, record.size, new.attributes)
        keys = new.attributes.source_key, new.attributes.data_key
        pool = self._blobs.pool_of(target[0], new.attributes.storage_class)
        digests = None if checksum is None or checksum.is_of(record) else checksum.new()
        ref = await self.copy_bytes(record, 0, record.size, pool, digests, keys=keys)
        if digests is not None:
            new.checksums, new.checksum_type = digests.checksums, "FULL_OBJECT"
        return await self._objects.commit_bytes(*target, ref, new)

    async def copy_bytes(
        self,
        record: ObjectRecord,
        start: int,
        stop: int,
        pool: str,
        digests: Digests | None = None,
        *,
        keys: tuple[bytes, bytes] = (b"", b""),
    ) -> DataRef | None:
        """Write bytes [start, stop) of a version as a new blob, over which `digests` goes.

        `keys` are the data keys of the source and of the new blob, empty where they are plain.
        None where these are no bytes. Raises NoSuchKey where the version is gone.
        """
        if start == stop:
            return None
        blob = await self._objects.blob_of(record)
        async with aclosing(self._blobs.stream(blob, start, stop, keys[0])) as stream:
            return await self._blobs.write(
                pool, _StreamSource(stream, stop - start, digests), keys[1]
            )


def _version_like(
    record: ObjectRecord, attributes: Attributes, condition: WriteCondition
) -> NewVersion:
    md5 = md5_of(record.etag, record.encryption, attributes.source_key)
    return NewVersion(
        size=record.size,
        etag=etag_of(md5, attributes.encryption, attributes.data_key),
        attributes=attributes,
        checksums=record.checksums,
        checksum_type=record.checksum_type,
        part_count=record.part_count,
        condition=condition,
    )


class _StreamSource:
    """Stored bytes as the source of a write."""

    def __init__(
        self, stream: AsyncGenerator[bytes, None], size: int, digests: Digests | None
    ) -> None:
        self.size = size
        self._stream, self._digests = stream, digests
        self._rest = memoryview(b"")

    async def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; see `model.Source`."""
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                chunk = await anext(self._stream, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            count = min(len(buffer) - filled, len(self._rest))
            buffer[filled : filled + count] = self._rest[:count]
            self._rest, filled = self._rest[count:], filled + count
        if self._digests is not None:
            if filled > HASH_INLINE_BYTES:
                await asyncio.to_thread(self._digests.update, buffer[:filled])
            else:
                self._digests.update(buffer[:filled])
        return filled
