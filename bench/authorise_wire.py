"""What policies cost a read over the wire: the second half of `bench.authorise`.

One server on the prepared store; two accounts ask in alternating windows of one run, so that
whatever else the machine does meets both. Closed loops: of one connection, whose round trips are
what a client waits for, and of many, which keep server and client busy.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from bench.client import drive
from bench.endpoint import Endpoint
from bench.errors import BenchError
from bench.proctree import cpu_s
from bench.servers import Server, running
from bench.signing import Account, Template
from bench.tally import Tally
from bench.workload import Request

COMMAND = (
    f"{sys.executable} -m s3server quickstart {{dir}} --listen 127.0.0.1:{{port}}"
    " --pool replica:3 --workers 1"
)
STORE = "store"  # name of its directory
CONNECTIONS = (1, 32)
_WARMUP_S = 0.1

Asked = tuple[Account, list[str]]  # who, and for which paths in turn


def make_store(directory: Path) -> None:
    """Make an empty store in directory/STORE. Raises ServerError."""
    with running(STORE, COMMAND, directory):
        pass


def measure_wire(directory: Path, asked: list[Asked], size: int, pairs: int) -> dict[str, Any]:
    """Return figures by connections. The store lies in directory/STORE. Raises BenchError."""
    with running(STORE, COMMAND, directory) as server:
        return {
            f"{connections} connections": _in_turn(server, asked, size, connections, pairs)
            for connections in CONNECTIONS
        }


def _in_turn(
    server: Server, asked: list[Asked], size: int, connections: int, pairs: int
) -> dict[str, Any]:
    rates: list[list[float]] = [[], []]
    costs: list[list[float]] = [[], []]
    for _ in range(pairs + 1):
        for index, who in enumerate(asked):
            rate, cost = _window(server, who, size, connections)
            rates[index].append(rate)
            costs[index].append(cost)
    # The first windows fill the caches.
    plain, policied = (each[1:] for each in rates)
    ratios = sorted(before / after for before, after in zip(plain, policied, strict=True))
    return {
        "time_ratio": round(statistics.median(ratios), 3),
        "time_ratio_spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "best_of_each": round(max(plain) / max(policied), 3),
        "requests_per_s": [round(statistics.median(each)) for each in (plain, policied)],
        "server_cpu_us": [round(statistics.median(each[1:]), 1) for each in costs],
        "pairs": pairs,
    }


def _window(server: Server, asked: Asked, size: int, connections: int) -> tuple[float, float]:
    """Return requests per second, and processor microseconds of the server for each."""
    account, paths = asked
    endpoint = Endpoint("http", "127.0.0.1", server.port)
    template = Template(endpoint.signer(account), "GET")

    def plan() -> Iterator[Request]:
        for path in itertools.cycle(paths):
            yield Request("get", template.render(path.encode()), 200, size)

    start_ns = time.perf_counter_ns() + int(_WARMUP_S * 1e9)
    tally = Tally(start_ns, start_ns + int(1e9))
    before = cpu_s(server.pid)
    plans = [plan() for _ in range(connections)]
    uvloop.run(drive(endpoint.host, endpoint.port, plans, tally))
    if tally.errors:
        raise BenchError(f"GET {paths[0]} failed: {dict(tally.errors)} {tally.sample}")
    done = tally.completed["get"]
    return done, (cpu_s(server.pid) - before) / (done * (1 + _WARMUP_S)) * 1e6
