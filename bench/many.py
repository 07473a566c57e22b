"""What a GET, a HEAD and a page of a listing cost beside very many objects, and beside few.

`python -m bench.many --dir /srv/scratch`: two stores, of 10,000,000 and of 10,000 objects. The rows
are committed to the stores themselves, through their journals, while no server runs; all objects
share the bytes of one. A snapshot is taken too, which the server would begin else while it is
measured. Then both, in the page cache, are served and asked in turn, for keys at random.
Microseconds of the workers' processor time per request, their ratio, and their memory, page cache
left out.

With `--keep DIR` the stores stay there, and are used again by the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.endpoint import Api
from bench.heal import command, fill, talk
from bench.proctree import anonymous_bytes, cpu_s, workers
from bench.recovery import prebuild
from bench.servers import OURS, Server, print_result, running

_SIZE = 4096
_PAGE = 100  # keys of a listing
Ask = Callable[[Api, str], object]

ASKED: dict[str, Ask] = {
    "get": lambda api, key: api.request("GET", f"/bench/{key}"),
    "head": lambda api, key: api.request("HEAD", f"/bench/{key}"),
    "list": lambda api, key: api.request(
        "GET", "/bench", f"list-type=2&max-keys={_PAGE}&start-after={key}"
    ),
}


def cost_us(server: Server, ask: Ask, objects: int, requests: int) -> float:
    """Return the server's processor time per request."""
    pids = workers(server.pid)  # what the jobs process does meanwhile is no cost of a request
    before = sum(map(cpu_s, pids))
    with talk(server) as api:
        for _ in range(requests):
            ask(api, f"row{random.randrange(objects):08}")
    return (sum(map(cpu_s, pids)) - before) / requests * 1e6


def build(directory: Path, objects: int) -> None:
    """Make a store of so many objects, where a run before has not."""
    store = directory / f"store-{objects}"
    built = store.with_suffix(".built")  # its file comes last: a store that is half made is refused
    if built.exists():
        return
    with running(store.name, OURS, directory) as server:
        fill(server, [_SIZE])
    asyncio.run(prebuild(store, objects))
    command("meta", "snapshot", "--dir", str(store))
    built.touch()


def warm(store: Path) -> None:
    """Read the metadata once: processors are compared, not disks and what they are busy with."""
    with (store / "meta" / "data.mdb").open("rb") as file:
        while file.read(1 << 24):
            pass


def measure(directory: Path, counts: tuple[int, int], requests: int, rounds: int) -> dict[str, Any]:
    """Return costs and memory of both stores, the large one first."""
    for objects in counts:
        build(directory, objects)
        warm(directory / f"store-{objects}")
    with (
        running(f"store-{counts[0]}", OURS, directory) as large,
        running(f"store-{counts[1]}", OURS, directory) as small,
    ):
        both = (large, small)
        result: dict[str, Any] = {"objects": counts}
        for name, ask in ASKED.items():
            pairs = [
                tuple(
                    cost_us(server, ask, objects, requests)
                    for server, objects in zip(both, counts, strict=True)
                )
                for _ in range(rounds + 1)
            ][1:]  # the first round warms both
            ratios = sorted(one / other for one, other in pairs)
            result[name] = {
                "us": [round(median(costs), 1) for costs in zip(*pairs, strict=True)],
                "ratio": [round(each, 3) for each in (ratios[0], median(ratios), ratios[-1])],
            }
        result["worker_bytes"] = [
            [anonymous_bytes(pid) for pid in workers(server.pid)] for server in both
        ]
    return result


def main() -> dict[str, Any]:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.many", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where the stores are made")
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=4_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where the stores are kept, instead of --dir")
    given = parser.parse_args()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        return measure(given.keep, (given.objects, given.few), given.requests, given.rounds)
    with tempfile.TemporaryDirectory(dir=given.dir) as directory:
        return measure(Path(directory), (given.objects, given.few), given.requests, given.rounds)


if __name__ == "__main__":
    print_result(main)
