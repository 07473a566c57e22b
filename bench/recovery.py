"""How long after kill -9 a store with very many objects answers with 200 again.

`python -m bench.recovery --dir /srv/scratch`: the rows of 1,000,000 objects, of no bytes each, are
committed to the store itself, through its journal, while no server runs. Then a server is killed
with all its processes while it takes writes, and started again. The time runs from the command to
the first 200 for an object; it is looked for every 0.1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.heal import fill, talk
from bench.servers import OURS, Server, print_result, running
from s3server.core.records import BucketRecord, bucket_key, counter_key, decode, object_key
from s3server.meta.base import Add, Put
from s3server.metadata import open_metadata
from s3server.settings import load

_ROWS_PER_COMMIT = 10_000
_LOAD_S = 2.0


async def prebuild(store: Path, objects: int) -> None:
    """Commit copies of the row of an object that is there."""
    meta = await open_metadata(load(store / "s3server.toml"))
    try:
        bucket = decode(BucketRecord, await meta.get(bucket_key("bench")) or b"")
        row = await meta.get(object_key(bucket.id, "0000000"))
        if row is None:
            raise BenchError("the object that was stored is not there")
        for start in range(0, objects, _ROWS_PER_COMMIT):
            numbers = range(start, min(start + _ROWS_PER_COMMIT, objects))
            rows = [Put(object_key(bucket.id, f"row{number:08}"), row) for number in numbers]
            await meta.commit([*rows, Add(counter_key(bucket.id, "objects"), len(rows))])
    finally:
        await meta.close()


def kill_under_load(server: Server) -> None:
    """Let a client overwrite objects for a while; kill all processes of the server meanwhile."""

    def load_it() -> None:
        with suppress(OSError), talk(server) as api:  # as it is killed
            for number in range(1 << 30):
                api.request("PUT", f"/bench/w{number % 100}", body=b"%d" % number)

    loader = threading.Thread(target=load_it)
    loader.start()
    loader.join(_LOAD_S)
    if not loader.is_alive():
        raise BenchError("the server took no writes")
    os.killpg(server.pid, signal.SIGKILL)
    loader.join()


def measure(directory: Path, objects: int, runs: int) -> dict[str, Any]:
    """Return the seconds of each recovery."""
    with running("store", OURS, directory) as server:
        fill(server, [0])
    asyncio.run(prebuild(directory / "store", objects))
    seconds = []
    for _ in range(runs):
        with running("store", OURS, directory) as server:
            kill_under_load(server)
        began = time.monotonic()
        with running("store", OURS, directory) as server:
            with talk(server) as api:
                api.request("GET", f"/bench/row{objects - 1:08}")
            seconds.append(round(time.monotonic() - began, 2))
    return {"objects": objects, "seconds": seconds}


def main() -> dict[str, Any]:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.recovery", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where the store is made")
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as directory:
        return measure(Path(directory), given.objects, given.runs)


if __name__ == "__main__":
    print_result(main)
