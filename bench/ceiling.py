"""What the client itself can do: its load on a server that does next to nothing.

The client has one processor, the server another one, so neither takes the other's time; requests
are signed, answers are read and checked as in any other run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.endpoint import parse_endpoint
from bench.errors import BenchError
from bench.run import measure
from bench.servers import ACCOUNT, running
from bench.settings import Settings
from bench.workload import Workload

_SERVER = f"{sys.executable} -m bench.constant --port {{port}}"


@contextmanager
def _only_on(processor: int) -> Iterator[None]:
    """Run on one processor, and so does what is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ceiling(op: str, size: int, connections: int, duration_s: float, rounds: int) -> dict[str, Any]:
    """Return requests per second of one load process on one processor, a figure per round."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        raise BenchError("needs two processors, one for the client and one for the server")
    workload = Workload(op=op, size=size, objects=2000, connections=connections)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        _only_on(processors[1]),
        running("constant", _SERVER, Path(directory)) as server,
        _only_on(processors[0]),
    ):
        run = Settings(
            endpoint=parse_endpoint(server.endpoint),
            accounts=(ACCOUNT,),
            processes=1,
            duration_s=duration_s,
            warmup_s=1.0,
            workload=workload,
        )
        found = [measure(run) for _ in range(rounds)]
    return {
        "op": op,
        "size": size,
        "connections": connections,
        "ops_per_s": [one["ops_per_s"] for one in found],
        "client_cpus": [one["client_cpus"] for one in found],
        "errors": [one["errors"] for one in found],
    }
