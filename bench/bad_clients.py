"""`python -m bench.bad_clients`: what clients that behave badly cost those that behave.

One server, one load on it, in windows with and without a crowd of bad clients beside it
(`misbehaving.py`): connections on which nothing comes, heads and bodies that trickle or stop,
halves of connections, readers that do not read. Windows take turns, so that what else the machine
does meets both. Prints JSON: latencies and errors of the good ones, and the ratios of p99 with by
without. With --duration above 60 s all deadlines of the server fall into each window.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bench.compare import ratios
from bench.endpoint import Api, parse_endpoint
from bench.misbehaving import Crowd, misbehaving
from bench.run import window
from bench.servers import ACCOUNT, OURS, print_result, running
from bench.session import Session
from bench.settings import add_load_arguments

BUCKET, LARGE_BUCKET, LARGE = "bench-good", "bench-bad", "large"
LARGE_BYTES = 16 << 20


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return every round, and the ratios of p99 over them."""
    rounds: list[dict[str, dict[str, Any]]] = []
    with (
        tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as name,
        running("server", OURS, Path(name)) as server,
    ):
        endpoint = parse_endpoint(server.endpoint)
        with Session(endpoint, (ACCOUNT,), (BUCKET, LARGE_BUCKET)) as session:
            Api(endpoint, ACCOUNT).request(
                "PUT", f"/{LARGE_BUCKET}/{LARGE}", body=os.urandom(LARGE_BYTES)
            )
            crowd = Crowd(endpoint, ACCOUNT, f"/{LARGE_BUCKET}/{LARGE}", arguments.bad)
            for number in range(arguments.rounds):
                found = {}
                for kind in ("without", "with")[:: 1 if number % 2 else -1]:
                    with misbehaving(crowd) if kind == "with" else nullcontext():
                        found[kind] = window(server, session, BUCKET, arguments)
                rounds.append(found)
                print(f"round {number + 1}: {_line(found)}", file=sys.stderr, flush=True)
    pairs = [{"A": one["with"]["latency_ms"], "B": one["without"]["latency_ms"]} for one in rounds]
    return {"bad": arguments.bad, "p99_with_by_without": ratios(pairs, "p99"), "rounds": rounds}


def _line(found: dict[str, dict[str, Any]]) -> str:
    return "  ".join(
        f"{kind} {found[kind]['ops_per_s']}/s p99 {found[kind]['latency_ms']['p99']} ms"
        f" errors {sum(found[kind]['errors'].values())}"
        for kind in ("without", "with")
    )


def main() -> None:
    """Parse the arguments, measure, print JSON; status 1 where no figure can be had."""
    parser = argparse.ArgumentParser(prog="bench.bad_clients", description=__doc__)
    parser.add_argument("--bad", default=2_000, type=int, help="bad clients (default %(default)s)")
    parser.add_argument("--rounds", default=4, type=int)
    parser.add_argument("--dir", help="where the server keeps its data")
    add_load_arguments(parser)
    arguments = parser.parse_args()
    print_result(lambda: measure(arguments))


if __name__ == "__main__":
    main()
