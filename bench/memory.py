"""`python -m bench.memory`: what a server's process tree needs for many large uploads at once.

Samples the proportional set size of the tree (`smaps_rollup`) five times a second, first idle,
then while 100 connections each PUT objects of 100 MB, and prints idle, peak and difference.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path
from typing import Any

from bench.proctree import pss_bytes
from bench.run import measure
from bench.servers import ACCESS_KEY, OURS, SECRET_KEY, print_result, running
from bench.settings import parse_size, settings

_PERIOD_S = 0.2
_IDLE_SAMPLES = 15


class Sampler(threading.Thread):
    """Samples until stop() is called; `samples` are bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[int] = []
        self._pid = pid
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(_PERIOD_S):
            self.samples.append(pss_bytes(self._pid))

    def stop(self) -> None:
        """End the sampling and wait for its thread."""
        self._stopped.set()
        self.join()


def idle_bytes(pid: int) -> int:
    """Return the median of three seconds of samples."""
    pause = threading.Event()
    found = []
    for _ in range(_IDLE_SAMPLES):
        pause.wait(_PERIOD_S)
        found.append(pss_bytes(pid))
    return sorted(found)[len(found) // 2]


def uploads(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return idle, peak and difference in bytes, with the load's own result."""
    with (
        tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as name,
        running("server", arguments.server, Path(name)) as server,
    ):
        load = argparse.Namespace(
            endpoint=server.endpoint,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            region="us-east-1",
            bucket="bench-memory",
            op="put",
            size=arguments.size,
            connections=arguments.connections,
            processes=1,
            duration=arguments.duration,
            warmup=0.0,
            objects=arguments.connections,
            payload="unsigned",
        )
        idle = idle_bytes(server.pid)
        sampler = Sampler(server.pid)
        sampler.start()
        try:
            result = measure(settings(load))
        finally:
            sampler.stop()
    peak = max(sampler.samples, default=0)
    return {
        "idle_bytes": idle,
        "peak_bytes": peak,
        "difference_bytes": peak - idle,
        "difference_per_upload_bytes": (peak - idle) // arguments.connections,
        "samples": len(sampler.samples),
        "load": result,
    }


def main() -> None:
    """Parse the arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(prog="bench.memory", description=__doc__)
    parser.add_argument("--server", default=OURS, help="its command, with {dir} {port} ...")
    parser.add_argument("--dir", help="where the server keeps its data")
    parser.add_argument("--size", default="100MB", type=parse_size)
    parser.add_argument("--connections", default=100, type=int)
    parser.add_argument("--duration", default=20.0, type=float, help="seconds")
    arguments = parser.parse_args()
    print_result(lambda: uploads(arguments))


if __name__ == "__main__":
    main()
