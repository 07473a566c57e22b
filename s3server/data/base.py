"""What the layers above may ask of object bytes: pools of immutable blobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from s3server.model import DataRef, Source


class DataError(Exception):
    """Object bytes could not be stored or read."""


class MissingError(DataError):
    """A shard is not where it was recorded."""


class CorruptError(DataError):
    """Bytes fail their checksum, or belong to another blob."""


class UnavailableError(DataError):
    """Too few shards can be written or read now; a later attempt may succeed."""


class FullError(DataError):
    """No space is left for the bytes."""


@dataclass(frozen=True, slots=True)
class Health:
    """What check() found of one blob: per shard "ok", "missing" (or absent) or "corrupt"."""

    shards: tuple[str, ...]
    needed: int

    @property
    def is_whole(self) -> bool:
        return all(state == "ok" for state in self.shards)

    @property
    def is_readable(self) -> bool:
        return sum(state == "ok" for state in self.shards) >= self.needed


@dataclass(frozen=True, slots=True)
class Standing:
    """Shards of a blob that today's map tells are not where they should be."""

    lost: tuple[int, ...] = ()  # never written, or on an OSD that is gone for good
    astray: tuple[int, ...] = ()  # readable, but elsewhere
    away: tuple[int, ...] = ()  # on an OSD that is down, and may come back


class Pool(Protocol):
    """Immutable blobs. write() returns once the blob is durable in its shards.

    That is all of them, or where OSDs fail fewer, but one more than reading needs; those that
    were not written are ABSENT in the DataRef.
    """

    name: str

    async def write(self, source: Source) -> DataRef:
        """Store all that `source` gives; whatever is raised, no space stays used.

        Raises UnavailableError, FullError, or what the source raises.
        """
        ...

    async def read(self, ref: DataRef, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) in one piece, verified. For spans of up to some MiB.

        Raises UnavailableError where fewer than the needed shards are whole.
        """
        ...

    def read_now(self, ref: DataRef) -> bytes | None:
        """Return a whole blob, verified, if it is at hand: without waiting for a disk. Else None.

        What is said of a blob that cannot be read is said by read().
        """
        ...

    def stream(self, ref: DataRef, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield bytes [start, stop), each piece of about 1 MiB verified before it is yielded."""
        ...

    async def delete(self, ref: DataRef) -> None:
        """Free the blob's own shard files. Idempotent. Volumes are left to compaction."""
        ...

    async def rewrite(self, ref: DataRef) -> DataRef:
        """Store a blob that lies in volumes once more, durably, where blobs go today.

        The old copies stay as they are; the blob keeps its id. Raises UnavailableError, FullError.
        """
        ...

    async def check(self, ref: DataRef, *, deep: bool = True) -> Health:
        """Read and verify every shard; not `deep`: its presence, size and whose it is only."""
        ...

    async def repair(self, ref: DataRef, *, deep: bool = True) -> DataRef:
        """Write again, durably, what check() finds missing or corrupt, and what lies elsewhere
        than blobs go today; return where the blob lies then, or `ref` where nothing was to be done.

        Every byte is verified before it is written. Shards for which no OSD is found stay as they
        are. The old shards stay too; a corrupt one is replaced where it lies. Nothing becomes
        unreadable by it, whenever it ends. Raises UnavailableError where too few shards are
        whole, or an OSD fails meanwhile, FullError.
        """
        ...

    def standing(self, ref: DataRef) -> Standing:
        """Compare where a blob's shards lie with where the map puts them. No I/O."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of all files; again, it does nothing."""
        ...


class Codec(Protocol):
    """How a stripe becomes shards, and shards a stripe again. Pure; replication is needed == 1."""

    name: str  # "replica:3", "ec:4+2"

    @property
    def needed(self) -> int: ...

    @property
    def total(self) -> int: ...

    def encode(self, stripe: memoryview) -> Sequence[bytes | memoryview]:
        """Return `total` fragments of equal length."""
        ...

    def decode(self, fragments: Mapping[int, bytes], size: int) -> bytes:
        """Return the stripe of `size` bytes from any `needed` fragments."""
        ...
