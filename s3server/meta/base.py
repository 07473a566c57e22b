"""What a metadata engine must do: an ordered map with checked atomic commits.

All S3 semantics are written once, in `core`, on these calls. Every engine passes
`tests/contract/metadata_store.py`.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

MAX_KEY_BYTES = 1_900
SEQUENCE_BYTES = 12  # what an Append adds to its prefix: commit sequence (8) and ordinal (4)

_COUNTER = struct.Struct(">q")


class MetadataError(Exception):
    """A metadata engine could not do what was asked."""


class ConflictError(MetadataError):
    """A check of the commit did not hold; nothing was written."""


class UnavailableError(MetadataError):
    """The engine cannot answer now; whether a commit took place is unknown."""


class FullError(MetadataError):
    """No space for the commit; nothing was written."""


class CorruptRecordError(MetadataError):
    """A stored record fails its checksum or cannot be decoded."""


class Put(msgspec.Struct, frozen=True, gc=False):
    """Store a value under a key."""

    key: bytes
    value: bytes


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove a key; nothing happens where it is absent."""

    key: bytes


class Add(msgspec.Struct, frozen=True, gc=False):
    """Add to a counter without reading it; an absent counter is 0 and a counter at 0 stays."""

    key: bytes
    delta: int


class Append(msgspec.Struct, frozen=True, gc=False):
    """Store a value under `prefix` + the commit's sequence number + its place in the commit.

    Keys under one prefix are therefore in commit order, across all workers.
    """

    prefix: bytes
    value: bytes


Write = Put | Delete | Add | Append


class Unchanged(msgspec.Struct, frozen=True, gc=False):
    """Holds where the key still has this value; None: where it is absent."""

    key: bytes
    value: bytes | None


class Empty(msgspec.Struct, frozen=True, gc=False):
    """Holds where no key lies in [start, stop)."""

    start: bytes
    stop: bytes


class AtMost(msgspec.Struct, frozen=True, gc=False):
    """Holds where the counters add up to `limit` at most once the commit's own writes are done."""

    keys: tuple[bytes, ...]
    limit: int
    whose: str = ""  # for people: whose limit it is, and of what


Check = Unchanged | Empty | AtMost
Row = tuple[bytes, bytes]
Range = tuple[bytes, bytes]
Get = Callable[[bytes], bytes | None]

T = TypeVar("T")


class MetadataStore(Protocol):
    """An ordered map from bytes to bytes; what commit() returned from survives a crash.

    Every call sees all commits that had returned, on any worker, before it began. Keys have
    1 to MAX_KEY_BYTES bytes, others raise ValueError; the bounds of a range may be any bytes.
    """

    @property
    def is_full(self) -> bool:
        """Whether only commits that free space would be taken, as far as this process knows.

        Asking costs nothing. Whoever is about to use up space for a commit asks first.
        """
        ...

    async def get(self, key: bytes) -> bytes | None: ...

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of the keys, in their order, from one snapshot."""
        ...

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Row]:
        """Return at most `limit` rows of [start, stop) in key order, or from its end backwards."""
        ...

    async def scan_many(self, ranges: Sequence[Range], *, limit: int) -> list[list[Row]]:
        """Return at most `limit` rows of each [start, stop), all from one snapshot."""
        ...

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        """Verify the checks, apply the writes in order, make both durable: all or nothing.

        Returns the commit's sequence number, which rises strictly. A caller that is cancelled
        does not learn whether the commit took place.
        Raises ConflictError with the check that did not hold, FullError, UnavailableError, or
        CorruptRecordError where an Add or an AtMost meets a value that is no counter.
        """
        ...

    async def close(self) -> None: ...


class InlineStore(MetadataStore, Protocol):
    """A store on this machine, whose rows can be read without any wait."""

    def look(self, read: Callable[[Get, Get], T]) -> T:
        """Return what `read` makes of one snapshot, by functions that return the value of a key.

        The first one is for rows that many requests ask for, the second one for all others: what
        they return is the same. `read` must not wait. Raises UnavailableError, and what it raises.
        """
        ...


def encode_counter(value: int) -> bytes:
    """Return the stored form of a counter: a signed 64-bit integer, big-endian."""
    return _COUNTER.pack(value)


def decode_counter(value: bytes | None) -> int:
    """Return what a counter holds; an absent one holds 0."""
    return 0 if value is None else int(_COUNTER.unpack(value)[0])


def sequence_suffix(sequence: int, ordinal: int) -> bytes:
    """Return what Append adds to its prefix."""
    return sequence.to_bytes(8, "big") + ordinal.to_bytes(4, "big")


def check_key(key: bytes) -> None:
    """Raise ValueError unless the key has 1 to MAX_KEY_BYTES bytes."""
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"a key has 1 to {MAX_KEY_BYTES} bytes, not {len(key)}: {key[:40]!r}")


def check_keys(writes: Sequence[Write], checks: Sequence[Check]) -> None:
    """Raise ValueError where a commit names a key that no engine can hold."""
    for write in writes:
        if isinstance(write, Append):
            if len(write.prefix) > MAX_KEY_BYTES - SEQUENCE_BYTES:
                raise ValueError(f"a prefix to append under has {len(write.prefix)} bytes")
        else:
            check_key(write.key)
    for check in checks:
        if isinstance(check, Unchanged):
            check_key(check.key)
        elif isinstance(check, AtMost):
            for key in check.keys:
                check_key(key)


def add_to_counter(stored: bytes | None, delta: int) -> bytes:
    """Return the stored form of a counter after an Add.

    Raises CorruptRecordError where `stored` is no counter or the sum exceeds 64 bits.
    """
    try:
        return encode_counter(decode_counter(stored) + delta)
    except struct.error as error:
        raise CorruptRecordError(f"cannot add {delta} to {stored!r}") from error


def add_up(stored: Iterable[bytes | None]) -> int:
    """Return what counters hold together. Raises CorruptRecordError where one is no counter."""
    try:
        return sum(map(decode_counter, stored))
    except struct.error as error:
        raise CorruptRecordError("a counter with a limit is no counter") from error


PAGE_ROWS = 1_000


async def pages_of(
    meta: MetadataStore, start: bytes, stop: bytes
) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """Yield all rows of a range in key order, in pages of up to PAGE_ROWS, each seen on its own."""
    while page := await meta.scan(start, stop, limit=PAGE_ROWS):
        start = page[-1][0] + b"\0"
        yield page


def after_prefix(prefix: bytes) -> bytes:
    """Return the smallest key greater than every key that starts with `prefix`."""
    trimmed = prefix.rstrip(b"\xff")
    if not trimmed:
        raise ValueError("no key follows a prefix of 0xff bytes only")
    return trimmed[:-1] + bytes([trimmed[-1] + 1])
