"""A file laid out as ROOT lays out its trees, and the scan of one of them.

Events come in clusters. Of each cluster every branch has a basket, compressed by itself (zlib); the
index of baskets is at the end. A third of the baskets belong to other trees, so what a scan of the
tree needs of a cluster is many ranges. It reads a cluster's baskets at once, as ROOT's TTreeCache
does, while those of the cluster before are decompressed and histogrammed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import msgspec
import numpy as np

_NUMBERS = 16_384  # of a basket
_DISTINCT = 64  # baskets that are made; they are repeated in random order
_BASKETS = 192  # of a cluster
_FOOTER = 8
_BINS = 100

Range = tuple[int, int]  # offset, length
Piece = bytes | bytearray
Read = Callable[[list[Range]], Sequence[Piece]]


class Index(msgspec.Struct, frozen=True):
    """Offset and length of the tree's baskets, by cluster."""

    clusters: list[list[Range]]


def write(path: Path, size: int, seed: int = 0) -> None:
    """Write a file of about `size` bytes."""
    random = Random(seed)
    made = [_basket(random) for _ in range(_DISTINCT)]
    clusters: list[list[Range]] = []
    with path.open("wb") as file:
        while file.tell() < size:
            cluster: list[Range] = []
            for number in range(_BASKETS):
                basket = random.choice(made)
                if number % 3:
                    cluster.append((file.tell(), len(basket)))
                file.write(basket)
            clusters.append(cluster)
        index = msgspec.msgpack.encode(Index(clusters))
        file.write(index + len(index).to_bytes(_FOOTER, "big"))


def _basket(random: Random) -> bytes:
    """Return numbers as detectors give them: two of their four bytes are noise."""
    noise = np.random.default_rng(random.getrandbits(63)).integers(0, 1 << 16, _NUMBERS)
    return zlib.compress(noise.astype(">u4").tobytes(), 1)


def merged(baskets: list[Range]) -> list[Range]:
    """Return the ranges that cover the baskets; neighbours are one range."""
    found: list[Range] = []
    for offset, length in baskets:
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((offset, length))
    return found


def read_index(read: Read, size: int) -> Index:
    """Return the index of a file of `size` bytes."""
    (footer,) = read([(size - _FOOTER, _FOOTER)])
    length = int.from_bytes(footer, "big")
    (index,) = read([(size - _FOOTER - length, length)])
    return msgspec.msgpack.decode(index, type=Index)


def scan(read: Read, size: int) -> tuple[int, int]:
    """Read all events of the tree; return a sum over their histogram, and the bytes read."""
    index = read_index(read, size)
    total = read_bytes = 0
    with ThreadPoolExecutor(1) as ahead:
        clusters = iter(index.clusters)
        first = next(clusters)
        coming = ahead.submit(read, merged(first))
        for baskets in _pairs(first, clusters):
            now, after = baskets
            pieces = coming.result()
            if after is not None:
                coming = ahead.submit(read, merged(after))
            read_bytes += sum(map(len, pieces))
            total += _decoded(now, pieces)
    return total, read_bytes


def _pairs(
    first: list[Range], rest: Iterator[list[Range]]
) -> Iterator[tuple[list[Range], list[Range] | None]]:
    """Yield each cluster with the one after it."""
    for after in rest:
        yield first, after
        first = after
    yield first, None


def _decoded(baskets: list[Range], pieces: Sequence[Piece]) -> int:
    """Return the sum over a histogram of the baskets that the pieces hold, one after the other."""
    whole = memoryview(b"".join(pieces))
    filled = np.zeros(_BINS, "i8")
    at = 0
    for _, length in baskets:
        numbers = np.frombuffer(zlib.decompress(whole[at : at + length]), ">u4").astype("f8")
        filled += np.histogram(numbers, _BINS, (0, 1 << 16))[0]
        at += length
    return int(filled @ np.arange(_BINS))
