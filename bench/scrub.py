"""How fast the deep scrub reads and verifies, with nothing to hold it back.

`python -m bench.scrub --dir /srv/scratch`: the scrub's steps run in this process, on OSD
directories and a store in memory, as often as asked. What was just written is read from the page
cache: this is the ceiling that one processor sets; `jobs.scrub_mib_s` is meant to be below it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.servers import print_result
from s3server.core.clock import Ids, SystemClock
from s3server.core.records import BlobRecord, blob_key, encode
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.jobs.scrub import Scrub
from s3server.jobs.throttle import Throttle
from s3server.meta.base import Put
from s3server.meta.memory import MemoryStore


class _Bytes:
    """Gives the same bytes for every object."""

    def __init__(self, data: bytes) -> None:
        self.size, self._data, self._at = len(data), data, 0

    async def readinto(self, buffer: memoryview) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


async def measure(root: Path, codec_name: str, objects: int, mib: int, runs: int) -> dict[str, Any]:
    """Return MiB of shards per second of every run."""
    codec, meta, clock = codec_from_name(codec_name), MemoryStore(), SystemClock()
    osds = {
        osd: DirectoryOsd.initialise(str(root / f"osd.{osd}"), cluster="bench", osd=osd)
        for osd in range(codec.total)
    }
    chosen = list(osds)
    pool = PlacedPool("bench", codec, OsdSet(osds), lambda blob, avoid: chosen, Ids(clock).blob_id)
    data = os.urandom((mib << 20) // objects)
    for _ in range(objects):
        ref = await pool.write(_Bytes(data))
        await meta.commit([Put(blob_key(ref.blob), encode(BlobRecord(size=ref.size, ref=ref)))])
    rates = []
    for _ in range(runs):
        scrub = Scrub(
            meta, {"bench": pool}, clock=clock, deep=True, every_ms=0, throttle=Throttle(0)
        )
        began, done = time.monotonic(), 0
        while (step := await scrub.step()).has_more:
            done += step.bytes
        rates.append((done + step.bytes) / (time.monotonic() - began) / (1 << 20))
    await pool.close()
    return {"codec": codec_name, "objects": objects, "mib_s": [round(rate) for rate in rates]}


def main() -> dict[str, Any]:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.scrub", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where the OSDs are made")
    parser.add_argument("--codec", default="replica:3")
    parser.add_argument("--objects", type=int, default=1_000)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as root:
        return asyncio.run(measure(Path(root), given.codec, given.objects, given.mib, given.runs))


if __name__ == "__main__":
    print_result(main)
