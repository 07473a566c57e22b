"""How a stripe becomes shards: copies, or Reed-Solomon code words. Replication is a code too.

Reed-Solomon comes from pyeclib (liberasurecode with ISA-L, Vandermonde matrix). It is systematic:
the first k fragments are the stripe itself, cut into k pieces, each behind a header of 80 bytes.
pyeclib holds the interpreter lock while it encodes, so stripes stay small (1 MiB).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import NamedTuple, Protocol

from pyeclib.ec_iface import ECDriver, ECDriverError

from s3server.data.base import Codec, CorruptError

FRAGMENT_HEADER = 80
MAX_SHARDS = 32  # what liberasurecode holds


class Span(NamedTuple):
    """Bytes [start, stop) of the fragment of one shard."""

    shard: int
    start: int
    stop: int


class ShardCodec(Codec, Protocol):
    """A codec that also knows where the bytes of a stripe lie in its fragments."""

    def fragment_size(self, size: int) -> int:
        """Return the length of each fragment of a stripe of `size` bytes."""
        ...

    def spans(self, usable: Collection[int], size: int, start: int, stop: int) -> list[Span] | None:
        """Return where bytes [start, stop) of a stripe of `size` bytes lie as they are.

        None where the `usable` shards do not hold them without decoding.
        """
        ...


class Replicate:
    """Every shard is the whole stripe."""

    needed = 1

    def __init__(self, copies: int) -> None:
        if not 1 <= copies <= MAX_SHARDS:
            raise ValueError(f"between 1 and {MAX_SHARDS} copies, not {copies}")
        self.total = copies
        self.name = f"replica:{copies}"

    def fragment_size(self, size: int) -> int:
        return size

    def spans(self, usable: Collection[int], size: int, start: int, stop: int) -> list[Span] | None:
        return [Span(min(usable), start, stop)] if usable and stop <= size else None

    def encode(self, stripe: memoryview) -> Sequence[bytes | memoryview]:
        return [stripe] * self.total

    def decode(self, fragments: Mapping[int, bytes], size: int) -> bytes:
        whole = next((each for each in fragments.values() if len(each) == size), None)
        if whole is None:
            raise CorruptError(f"no copy of {size} bytes")
        return whole


class ReedSolomon:
    """k data and m parity shards: any k of them give the stripe."""

    def __init__(self, k: int, m: int) -> None:
        if k < 1 or m < 1 or k + m > MAX_SHARDS:
            raise ValueError(f"ec:{k}+{m}: k and m at least 1, together at most {MAX_SHARDS}")
        self.needed = k
        self.total = k + m
        self.name = f"ec:{k}+{m}"
        self._driver = ECDriver(k=k, m=m, ec_type="isa_l_rs_vand")

    def fragment_size(self, size: int) -> int:
        return FRAGMENT_HEADER + -(-size // self.needed)

    def spans(self, usable: Collection[int], size: int, start: int, stop: int) -> list[Span] | None:
        piece = -(-size // self.needed)
        indexes = range(start // piece, (stop - 1) // piece + 1)
        if not all(index in usable for index in indexes):
            return None
        return [
            Span(
                index,
                FRAGMENT_HEADER + max(start - index * piece, 0),
                FRAGMENT_HEADER + min(stop - index * piece, piece),
            )
            for index in indexes
        ]

    def encode(self, stripe: memoryview) -> Sequence[bytes | memoryview]:
        fragments: list[bytes] = self._driver.encode(bytes(stripe))  # it takes nothing but bytes
        return fragments

    def decode(self, fragments: Mapping[int, bytes], size: int) -> bytes:
        """Return the stripe; CorruptError where the fragments are not of one stripe."""
        try:
            stripe: bytes = self._driver.decode(list(fragments.values()))
        except ECDriverError as error:
            raise CorruptError(f"{self.name}: {error}") from error
        if len(stripe) != size:
            raise CorruptError(f"{self.name}: a stripe of {len(stripe)} bytes instead of {size}")
        return stripe


@cache
def codec_from_name(name: str) -> ShardCodec:
    """Return the codec called "replica:N" or "ec:K+M"; ValueError for anything else."""
    if match := re.fullmatch(r"replica:([1-9]\d?)", name):
        return Replicate(int(match[1]))
    if match := re.fullmatch(r"ec:([1-9]\d?)\+([1-9]\d?)", name):
        return ReedSolomon(int(match[1]), int(match[2]))
    raise ValueError(f'{name!r} is no codec: "replica:3" and "ec:4+2" are')


def shard_size(codec: ShardCodec, size: int, stripe: int) -> int:
    """Return the bytes of each shard of a blob of `size` bytes that is encoded by stripes."""
    whole, rest = divmod(size, stripe)
    return whole * codec.fragment_size(stripe) + (codec.fragment_size(rest) if rest else 0)
