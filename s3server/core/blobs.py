"""The table of blobs: how records share bytes, and how bytes that nobody uses are given up.

Objects, parts and composite blobs refer to blobs by id. A reference is counted in the blob's
`uses`. Giving one up writes a garbage row in the same commit; the collector (`jobs.collect`)
works those off, so no request ever waits for bytes to be freed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from s3server.core import records
from s3server.core.clock import Clock, Ids
from s3server.core.commit import Commits, Plan
from s3server.core.holds import Holds
from s3server.core.project_records import WAITING, project_scope
from s3server.core.records import BlobPart, BlobRecord, BucketRecord, GarbageRecord, decode, encode
from s3server.core.repairs import repair_row
from s3server.core.sealing import SealingSource, read_sealed
from s3server.data.base import DataError, Pool
from s3server.data.base import UnavailableError as PoolUnavailableError
from s3server.errors import InvalidStorageClass, SlowDown
from s3server.meta.base import (
    Add,
    Append,
    Check,
    FullError,
    MetadataStore,
    Put,
    UnavailableError,
    Unchanged,
    Write,
)
from s3server.model import DataRef, Source

T = TypeVar("T")

# Compaction and sweep take bytes that no row refers to for rubbish after a time; a commit that
# was held up for long must not begin to refer to them any more. Their leases are longer.
ADOPT_WITHIN_MS = 15 * 60_000

STANDARD = "STANDARD"  # storage class of what goes to the pool of its bucket
GRACE_MS = 60_000  # from giving up bytes to freeing them

_SEALED_PIECE = 1 << 20  # what is read and decrypted in one piece of a stream
_CACHED_PARTS = 100_000  # of composite blobs; some 250 bytes each


class Blobs:
    """Blobs of one store, in all of its pools."""

    def __init__(
        self,
        meta: MetadataStore,
        pools: Mapping[str, Pool],
        *,
        clock: Clock,
        ids: Ids,
        grace_ms: int = GRACE_MS,
        classes: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; `grace_ms` is how long the collector waits.

        `classes` are the storage classes beside STANDARD, each with the pool of its objects.
        """
        self._classes = classes or {}
        self._meta, self._pools, self._clock, self.ids = meta, pools, clock, ids
        process = ids.request_id().encode()
        self.holds = Holds(meta, clock=clock, process=process, grace_ms=grace_ms)
        self._commit = Commits(meta)
        self._composites: dict[bytes, BlobRecord] = {}
        self._cached_parts = 0

    def pool_of(self, bucket: BucketRecord, storage_class: str) -> str:
        """Return the pool of new objects of this class. Raises InvalidStorageClass."""
        if storage_class != STANDARD and storage_class not in self._classes:
            raise InvalidStorageClass(StorageClassRequested=storage_class)
        return self.pool_that_has(bucket, storage_class)

    def pool_that_has(self, bucket: BucketRecord, storage_class: str) -> str:
        """Return the pool of objects there are, be it of a class that is no longer offered."""
        return self._classes.get(storage_class, bucket.pool)

    async def write(self, pool: str, source: Source, key: bytes = b"") -> DataRef | None:
        """Store the bytes durably; None where there are none. Nothing refers to them yet.

        With a data key they are stored encrypted.

        Raises FullError before the first byte where no commit could refer to them: on a disk that
        holds bytes and metadata, what is held back for deletes would go to uploads.
        """
        if source.size == 0:
            await source.readinto(memoryview(bytearray(1)))  # verifies what was promised
            return None
        if self._meta.is_full:
            raise FullError("no space for metadata")
        return await self._pool(pool).write(SealingSource(source, key) if key else source)

    async def discard(self, ref: DataRef | None) -> None:
        """Free bytes that no record came to refer to; what an OSD refuses is left to the sweep."""
        if ref is not None:
            with suppress(DataError):
                await self._pools[ref.pool].delete(ref)

    async def commit_or_discard(
        self, refs: Sequence[DataRef], make_plan: Callable[[], Awaitable[Plan[T]]]
    ) -> T:
        """Commit a plan that adopts freshly written bytes; free them where it failed for certain.

        Where the outcome is unknown the bytes stay: the sweep frees them if nothing refers to them.
        Raises SlowDown after ADOPT_WITHIN_MS.
        """
        deadline_ms = self._clock.now_ms() + ADOPT_WITHIN_MS

        async def plan_in_time() -> Plan[T]:
            if self._clock.now_ms() > deadline_ms:
                raise SlowDown
            return await make_plan()

        try:
            return await self._commit(plan_in_time)
        except UnavailableError:
            raise
        except Exception:
            for ref in refs:
                await self.discard(ref)
            raise

    def adopt(self, ref: DataRef | None) -> list[Write]:
        """Return the writes that make freshly written bytes a blob with one use.

        One that lacks shards is to be repaired; the row that says so is written with it.
        """
        if ref is None:
            return []
        writes: list[Write] = [
            Put(records.blob_key(ref.blob), encode(BlobRecord(size=ref.size, ref=ref)))
        ]
        if absent := ref.absent:
            now_ms = self._clock.now_ms()
            writes.append(repair_row(ref, absent, "degraded write", since_ms=now_ms))
        return writes

    def give_up(self, *blobs: bytes, project: str, size: int) -> list[Write]:
        """Return the writes that give up one reference to each blob.

        `size` is what they stand for: bytes of a project's that wait for collection from now on.
        """
        given = tuple(blob for blob in blobs if blob)
        if not given:
            return []
        garbage = GarbageRecord(
            blobs=given, since_ms=self._clock.now_ms(), project=project, size=size
        )
        return [
            Append(records.GARBAGE, encode(garbage)),
            Add(project_scope(project) + WAITING.encode(), size),
        ]

    async def share(self, blob: bytes) -> tuple[list[Write], list[Check]] | None:
        """Return what adds one reference to a blob; None where the blob is gone."""
        if not blob:
            return [], []
        key = records.blob_key(blob)
        row = await self._meta.get(key)
        if row is None:
            return None
        record = decode(BlobRecord, row)
        return [Put(key, encode(replace(record, uses=record.uses + 1)))], [Unchanged(key, row)]

    async def share_all(self, blobs: Iterable[bytes]) -> tuple[list[Write], list[Check]]:
        """Do that for several; raise SlowDown where one is gone: what names it was read before."""
        writes, checks = [], []
        for blob in blobs:
            shared = await self.share(blob)
            if shared is None:
                raise SlowDown
            writes += shared[0]
            checks += shared[1]
        return writes, checks

    async def load(self, blob: bytes) -> BlobRecord | None:
        """Return a blob's record, or None.

        Composite blobs may have 10,000 parts and never change apart from their count of uses,
        so those decoded last are remembered.
        """
        remembered = self._composites.get(blob)
        if remembered is not None:
            return remembered
        row = await self._meta.get(records.blob_key(blob))
        if row is None:
            return None
        record = decode(BlobRecord, row)
        if record.parts:
            self._cached_parts += len(record.parts)
            if self._cached_parts > _CACHED_PARTS:
                self._composites.clear()
                self._cached_parts = len(record.parts)
            self._composites[blob] = record
        return record

    async def read(self, record: BlobRecord, start: int, stop: int, key: bytes = b"") -> bytes:
        """Return bytes [start, stop), verified. For spans of up to some MiB."""
        if record.ref is not None:
            if key:
                read = partial(self._pool(record.ref.pool).read, record.ref)
                return await read_sealed(read, record.size, key, start, stop)
            return await self._pool(record.ref.pool).read(record.ref, start, stop)
        pieces = [
            await self.read(await self._part(part), first, last, key)
            for part, first, last in _pieces(record, start, stop)
        ]
        return b"".join(pieces)

    def read_now(self, record: BlobRecord) -> bytes | None:
        """Return all of a plain blob, verified, if that needs no waiting, else None."""
        ref = record.ref
        return None if ref is None else self._pool(ref.pool).read_now(ref)

    async def stream(
        self, record: BlobRecord, start: int, stop: int, key: bytes = b""
    ) -> AsyncGenerator[bytes, None]:
        """Yield bytes [start, stop), verified, in pieces of about 1 MiB."""
        if record.ref is not None and key:
            for at in range(start, stop, _SEALED_PIECE):
                yield await self.read(record, at, min(at + _SEALED_PIECE, stop), key)
            return
        if record.ref is not None:
            pool = self._pool(record.ref.pool)
            async with aclosing(pool.stream(record.ref, start, stop)) as data:
                async for chunk in data:
                    yield chunk
            return
        async with self.holds.download(record):
            for part, first, last in _pieces(record, start, stop):
                blob = await self._part(part)
                async with aclosing(self.stream(blob, first, last, key)) as stream:
                    async for chunk in stream:
                        yield chunk

    def _pool(self, name: str) -> Pool:
        pool = self._pools.get(name)
        if pool is None:
            raise PoolUnavailableError(f"pool {name} is not in the settings")
        return pool

    async def _part(self, part: BlobPart) -> BlobRecord:
        record = await self.load(part.blob)
        if record is None:
            raise LookupError(f"blob {part.blob.hex()} of a composite blob has no record")
        return record


async def begun(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Return a stream whose first piece has been read: what fails by then can still be answered."""
    try:
        first = await anext(stream)
    except BaseException:
        await stream.aclose()
        raise
    return _after(first, stream)


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


def _pieces(record: BlobRecord, start: int, stop: int) -> list[tuple[BlobPart, int, int]]:
    """Return which part covers which of its bytes, for bytes [start, stop) of the whole."""
    pieces, begin = [], 0
    for part in record.parts:
        end = begin + part.size
        if end > start and begin < stop and part.size:
            pieces.append((part, max(start, begin) - begin, min(stop, end) - begin))
        if end >= stop:
            break
        begin = end
    return pieces
