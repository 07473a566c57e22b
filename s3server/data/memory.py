"""A pool in memory: the reference model of `base.Pool`, and the pool of fast tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from s3server.data.base import DataError, Health, Standing, UnavailableError
from s3server.model import DataRef, ShardPlace, Source

PIECE = 1 << 20  # what stream() yields


class MemoryPool:
    """Implements `base.Pool` with a dictionary; "durable" means as long as the process lives."""

    def __init__(self, name: str, new_blob_id: Callable[[], bytes]) -> None:
        self.name = name
        self._new_blob_id = new_blob_id
        self._blobs: dict[bytes, bytes] = {}

    @property
    def blob_count(self) -> int:
        """How many blobs it holds."""
        return len(self._blobs)

    async def write(self, source: Source) -> DataRef:
        """Store all that `source` gives; see `base.Pool`."""
        data = bytearray(source.size)
        count = await source.readinto(memoryview(data))
        surplus = await source.readinto(memoryview(bytearray(1)))
        if count + surplus != source.size:
            raise DataError(f"the source gave not the {source.size} bytes that it promised")
        blob = self._new_blob_id()
        self._blobs[blob] = bytes(data)
        return DataRef(self.name, "replica:1", blob, source.size, 0, (ShardPlace(0),))

    async def read(self, ref: DataRef, start: int, stop: int) -> bytes:
        """Return bytes [start, stop); UnavailableError where the blob was deleted."""
        data = self._blobs.get(ref.blob)
        if data is None:
            raise UnavailableError(f"blob {ref.blob.hex()} is gone")
        return data[start:stop]

    def read_now(self, ref: DataRef) -> bytes | None:
        """Return a blob, or None where it was deleted."""
        return self._blobs.get(ref.blob)

    async def stream(self, ref: DataRef, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield bytes [start, stop) in pieces; deleting the blob meanwhile does no harm."""
        data = await self.read(ref, start, stop)
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]

    async def delete(self, ref: DataRef) -> None:
        """Free the blob. Idempotent."""
        self._blobs.pop(ref.blob, None)

    async def rewrite(self, ref: DataRef) -> DataRef:
        """Return where the blob lies: there are no volumes to move it out of."""
        await self.read(ref, 0, 0)
        return ref

    async def repair(self, ref: DataRef, *, deep: bool = True) -> DataRef:
        """Return where the blob lies: it is whole, or gone (UnavailableError)."""
        await self.read(ref, 0, 0)
        return ref

    def standing(self, ref: DataRef) -> Standing:
        """Return that all is where it should be: there is one place only."""
        return Standing()

    async def check(self, ref: DataRef, *, deep: bool = True) -> Health:
        """Tell whether the blob is there."""
        return Health(("ok" if ref.blob in self._blobs else "missing",), needed=1)

    async def close(self) -> None: ...
