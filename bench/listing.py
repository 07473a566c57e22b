"""What a page of 1,000 entries costs in a large bucket, compared with one that is almost empty.

`python -m bench.listing --dir /srv/scratch`: rows are put into an LMDB store, then the handlers of
the operations and their renderers run in this process: everything a listing costs but HTTP and
the check of the signature. Pages begin at random places. Every case of a large bucket has a small
one of the same shape beside it, which is measured in turn with it; times are processor times.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from bench.servers import print_result
from s3server.core.listing import Listing
from s3server.core.records import BucketRecord, ObjectRecord, encode, object_key, version_key
from s3server.meta.base import Put
from s3server.meta.lmdb import LmdbStore
from s3server.operation import load_handlers
from s3server.wire.serialize import compile_renderer
from s3server.wire.service_model import load_model

PAGE = 1_000
COMMON = "2026/products/"  # how all keys begin
ROWS_PER_COMMIT = 10_000
SMALL = 2 * PAGE  # entries of a bucket that is almost empty: a page, and one that follows


@dataclass(frozen=True, slots=True)
class Shape:
    """A bucket of `count` entries: keys, versions, or common prefixes."""

    operation: str
    marker: str  # the parameter that says where a page begins
    keys: int
    versions: int = 0  # older ones of each key
    under: int = 0  # keys under each common prefix

    def key(self, number: int, below: int = 0) -> str:
        """Return a key, or where several lie under a common prefix one of those."""
        key = f"{COMMON}tile-{number:09}"
        return f"{key}/{below:04}.tif" if self.under else key

    def rows(self, bucket: bytes) -> Iterator[Put]:
        """Yield the rows of a bucket of this shape."""
        for number, below in itertools.product(range(self.keys), range(self.under or 1)):
            key = self.key(number, below)
            for sequence in range(1, self.versions + 1):
                yield Put(version_key(bucket, key, sequence), _record(sequence))
            yield Put(object_key(bucket, key), _record(self.versions + 1))

    def request(self) -> dict[str, Any]:
        """Return a request for a whole page from anywhere."""
        entries = self.keys * (self.versions + 1)
        number = random.randrange(max(entries - PAGE, 1)) // (self.versions + 1)
        request: dict[str, Any] = {"MaxKeys": PAGE, self.marker: self.key(number)}
        if self.under:
            request |= {"Delimiter": "/", "Prefix": COMMON}
        return request


def _record(sequence: int) -> bytes:
    return encode(
        ObjectRecord(
            sequence=sequence,
            size=1_048_576,
            etag="0123456789abcdef" * 2,
            modified_ms=1_790_000_000_000 + sequence,
            owner="c0ffee" * 10,
            blob=sequence.to_bytes(16, "big"),
            version_id=f"{sequence:016x}",
            checksums=(("ChecksumCRC64NVME", "AAAAAAAAAAA="),),
            checksum_type="FULL_OBJECT",
        )
    )


class Case:
    """One bucket of a shape, filled, and how a page of it is made."""

    def __init__(self, meta: LmdbStore, number: int, shape: Shape) -> None:
        self.shape, self._meta = shape, meta
        self._bucket = BucketRecord(
            id=number.to_bytes(8, "big"),
            name=f"bucket-{number}",
            owner="owner",
            account="",
            created_ms=0,
            region="",
        )
        services = SimpleNamespace(listing=Listing(meta))
        self._ctx: Any = SimpleNamespace(services=services, require_bucket=lambda: self._bucket)
        self._handler = load_handlers()[shape.operation]
        self._render = compile_renderer(load_model("s3").operations[shape.operation])

    async def fill(self) -> None:
        """Store all rows."""
        rows = self.shape.rows(self._bucket.id)
        while some := list(itertools.islice(rows, ROWS_PER_COMMIT)):
            await self._meta.commit(some)

    async def pages_per_s(self, pages: int) -> float:
        """Return how many pages of 1,000 entries one processor makes per second."""
        requests = [self.shape.request() for _ in range(pages)]
        began = time.process_time()
        for request in requests:
            result = await self._handler(self._ctx, request)
            self._render(result, request_id="r", host_id="h")
            if not result["IsTruncated"] and self.shape.keys > SMALL:
                raise ValueError("a page ended early: the bucket is not what it should be")
        return pages / (time.process_time() - began)


def _shapes(keys: int, versioned: int, prefixes: int) -> dict[str, tuple[Shape, Shape]]:
    """Return the cases: the large bucket, and the small one of its kind."""
    v2, older = ("ListObjectsV2", "StartAfter"), ("ListObjectVersions", "KeyMarker")
    return {
        "keys": (Shape(*v2, keys), Shape(*v2, SMALL)),
        "versions": (
            Shape(*older, versioned, versions=100),
            Shape(*older, SMALL // 100, versions=100),
        ),
        "prefixes": (Shape(*v2, prefixes, under=5), Shape(*v2, SMALL, under=5)),
    }


async def measure(directory: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return pages per second and processor, and what they are of those of a small bucket."""
    meta = LmdbStore.open(directory / "meta", map_size=1 << 36)
    result: dict[str, Any] = {}
    numbers = itertools.count(1)
    try:
        shapes = _shapes(given.keys, given.versioned, given.prefixes)
        for name, pair in shapes.items():
            large, small = (Case(meta, next(numbers), shape) for shape in pair)
            for case in (large, small):
                await case.fill()
                await case.pages_per_s(3)  # to be warm
            rates = [
                (await large.pages_per_s(given.pages), await small.pages_per_s(given.pages))
                for _ in range(given.rounds)
            ]
            result[name] = {
                "pages_per_s": _spread([one for one, _ in rates]),
                "small_pages_per_s": _spread([other for _, other in rates]),
                "cost_ratio": _spread([other / one for one, other in rates]),
            }
    finally:
        await meta.close()
    return result


def _spread(values: list[float]) -> list[float]:
    """Return minimum, median and maximum."""
    return [round(value, 2) for value in (min(values), median(values), max(values))]


def main() -> dict[str, Any]:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.listing", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where the store is made")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--versioned", type=int, default=10_000, help="keys with 100 old versions")
    parser.add_argument("--prefixes", type=int, default=100_000, help="with five keys each")
    parser.add_argument("--pages", type=int, default=40, help="pages of a round")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as directory:
        return asyncio.run(measure(Path(directory), given))


if __name__ == "__main__":
    print_result(main)
