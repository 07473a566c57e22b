"""What three copies cost and gain against erasure codes: large objects in, and out again.

`python -m bench.codecs --dir /srv/scratch`: for each code two servers of ours run side by side, one
with three copies, and are measured in turn as `bench.compare` does. A ratio below 1: three copies
are slower.
"""  # noqa: A005 (run by name, never imported)

from __future__ import annotations

import argparse
from typing import Any

from bench.compare import compare
from bench.servers import OURS, print_result
from bench.settings import add_run_arguments, parse_size

CODES = {"ec:4+2": 6, "ec:8+3": 11}  # and the OSDs that each needs at least
COPIES = "replica:3"
OPS = ("put", "get")


def server(pool: str, osds: int) -> str:
    """Return the command of a server with such a pool."""
    return f"{OURS.replace(COPIES, pool)} --osds {osds}"


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return the comparisons of three copies with each code, by operation."""
    return {
        f"{op} {pool}": compare(
            argparse.Namespace(
                **{**vars(given), "op": op, "a": server(COPIES, osds), "b": server(pool, osds)}
            )
        )
        for pool, osds in CODES.items()
        for op in ([given.op] if given.op else OPS)
    }


def main() -> None:
    """Parse the arguments, compare, print JSON."""
    parser = argparse.ArgumentParser(prog="bench.codecs", description=__doc__)
    parser.add_argument("--pairs", default=3, type=int)
    parser.add_argument("--dir", help="where the servers keep their data")
    parser.add_argument("--size", default="100MB", type=parse_size, help="of an object")
    parser.add_argument("--op", choices=OPS, help="only this one")
    parser.add_argument("--connections", default=4, type=int, help="of all processes together")
    add_run_arguments(parser)
    parser.set_defaults(duration=4.0, warmup=1.0, objects=8, payload="unsigned")
    given = parser.parse_args()
    print_result(lambda: measure(given))


if __name__ == "__main__":
    main()
