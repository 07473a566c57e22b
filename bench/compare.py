"""`python -m bench.compare`: the same load against two servers in turn, A B A B.

Absolute figures of a shared machine mean little; the ratio of two runs that follow each other
means more, and the spread of the ratios shows how much. Prints JSON.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.comparison import figure_of
from bench.errors import BenchError
from bench.proctree import cpu_s
from bench.run import measure
from bench.servers import ACCESS_KEY, PEERS, SECRET_KEY, Server, print_result, running
from bench.settings import Settings, add_load_arguments, settings


def ratios(pairs: list[dict[str, dict[str, Any]]], figure: str) -> dict[str, float]:
    """Return min, median and max of A/B over the pairs; BenchError if B did nothing."""
    if any(pair["B"][figure] <= 0 for pair in pairs):
        raise BenchError("B completed nothing: there is no ratio")
    found = sorted(pair["A"][figure] / pair["B"][figure] for pair in pairs)
    return {
        "min": round(found[0], 3),
        "median": round(statistics.median(found), 3),
        "max": round(found[-1], 3),
    }


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start both servers; return all runs and the ratios of their main figure."""
    with (
        tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as name,
        running("a", PEERS.get(arguments.a, arguments.a), Path(name)) as a,
        running("b", PEERS.get(arguments.b, arguments.b), Path(name)) as b,
    ):
        return {"a": arguments.a, "b": arguments.b, **in_turn(a, b, arguments)}


def in_turn(a: Server, b: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all runs and the ratios of their main figure (operations, or bytes if large)."""
    pairs: list[dict[str, dict[str, Any]]] = []
    for pair in range(arguments.pairs):
        done = {label: _one(server, arguments) for label, server in (("A", a), ("B", b))}
        pairs.append(done)
        print(f"pair {pair + 1}: {_line(done)}", file=sys.stderr, flush=True)
    figure = figure_of(arguments.op, arguments.size)
    return {"figure": figure, "ratio": ratios(pairs, figure), "pairs": pairs}


def _one(server: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one server. What the run before left unwritten is flushed first, for fairness."""
    os.sync()
    before = cpu_s(server.pid)
    result = measure(_aimed(server, arguments))
    # Includes storing and removing the objects, so it bounds the load's share from above.
    result["server_cpu_s"] = round(cpu_s(server.pid) - before, 2)
    return result


def _aimed(server: Server, arguments: argparse.Namespace) -> Settings:
    fields = {
        **vars(arguments),
        "endpoint": server.endpoint,
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "region": "us-east-1",
        "bucket": "bench-compare",
    }
    return settings(argparse.Namespace(**fields))


def _line(done: dict[str, dict[str, Any]]) -> str:
    return "  ".join(
        f"{label} {run['ops_per_s']}/s {run['mb_per_s']} MB/s p99 {run['latency_ms']['p99']} ms"
        f" errors {sum(run['errors'].values())}"
        for label, run in done.items()
    )


def main() -> None:
    """Parse the arguments, compare, print JSON; status 1 where no figure can be had."""
    parser = argparse.ArgumentParser(prog="bench.compare", description=__doc__)
    names = ", ".join(PEERS)
    parser.add_argument(
        "--a", default="ours", help=f"{names}, or a command with {{dir}} {{port}} ..."
    )
    parser.add_argument("--b", default="rclone", help="the same of server B")
    parser.add_argument("--pairs", default=5, type=int)
    parser.add_argument("--dir", help="where the servers keep their data")
    add_load_arguments(parser)
    arguments = parser.parse_args()
    print_result(lambda: compare(arguments))


if __name__ == "__main__":
    main()
