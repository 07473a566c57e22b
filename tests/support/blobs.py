"""Sources of bytes, OSD directories and pools for tests of the data layer."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.spread import Choose
from s3server.data.vfs import Vfs
from s3server.errors import BadDigest
from s3server.model import DataRef

CLUSTER = "a-cluster"


class BytesSource:
    """Gives `data`, and looks whether the caller left each buffer as it was, as it must.

    `fail_at`: raises BadDigest instead of giving the byte at this offset; at the end of the data:
    instead of vouching for it. `before_each` is awaited at the start of every call.
    """

    def __init__(
        self,
        data: bytes,
        *,
        fail_at: int | None = None,
        before_each: Callable[[], Any] | None = None,
    ) -> None:
        self.size = len(data)
        self.is_verified = False
        self._data = data
        self._at = 0
        self._fail_at = fail_at
        self._before_each = before_each
        self._given: tuple[memoryview, bytes] | None = None

    async def readinto(self, buffer: memoryview) -> int:
        if self._before_each is not None:
            await self._before_each()
        await asyncio.sleep(0)
        piece = self._data[self._at : self._at + len(buffer)]
        end = self._at + len(piece)
        if self._fail_at is not None and (self._fail_at < end or self._fail_at == end == self._at):
            raise BadDigest
        buffer[: len(piece)] = piece
        if self._given is not None:
            before, content = self._given
            assert content == before, "the buffer was changed while it was still being hashed"
        self._given = (buffer[: len(piece)], piece) if piece else None
        self._at = end
        self.is_verified = not piece
        return len(piece)


def numbered_ids(seed: int = 1) -> Callable[[], bytes]:
    """Return a source of blob ids that differ, the same ones in every run."""
    numbers, chance = itertools.count(1), random.Random(seed)
    return lambda: next(numbers).to_bytes(8, "big") + chance.randbytes(8)


def pattern(size: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size)


def make_osds(root: Path, count: int, vfs: Vfs | None = None) -> dict[int, DirectoryOsd]:
    return {
        osd: DirectoryOsd.initialise(str(root / f"osd{osd}"), cluster=CLUSTER, osd=osd, vfs=vfs)
        for osd in range(count)
    }


def in_turn(on: Sequence[int], total: int) -> Choose:
    """Return a rule that places shard i on the i-th OSD of `on`; the first spare one replaces."""

    def choose(blob: bytes, avoid: frozenset[int]) -> list[int | None]:
        spare = iter([osd for osd in on[total:] if osd not in avoid])
        return [next(spare, None) if osd in avoid else osd for osd in on[:total]]

    return choose


def make_pool(
    osds: Mapping[int, DirectoryOsd] | OsdSet,
    codec: str,
    *,
    on: Sequence[int] | None = None,
    seed: int = 1,
    **options: Any,
) -> PlacedPool:
    """Return a pool that places shard i on the i-th OSD of `on`; what follows these is spare."""
    code = codec_from_name(codec)
    rule = in_turn(on if on is not None else range(code.total), code.total)
    osd_set = osds if isinstance(osds, OsdSet) else OsdSet(osds)
    return PlacedPool("main", code, osd_set, rule, numbered_ids(seed), **options)


async def collect(pool: PlacedPool, ref: DataRef, start: int = 0, stop: int = -1) -> bytes:
    """Return what stream() yields, in one piece."""
    pieces = [piece async for piece in pool.stream(ref, start, ref.size if stop < 0 else stop)]
    return b"".join(pieces)


def files_of(root: Path) -> list[str]:
    """Return all files below `root` that hold bytes of blobs, or are on their way to."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name != "osd.json")
    return sorted(str(path.relative_to(root)) for path in found)
