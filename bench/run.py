"""`python -m bench.run`: one load on one S3 endpoint, as JSON on standard output.

Makes its bucket, stores what the operation needs, measures, and removes everything again.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import msgspec

from bench.errors import BenchError
from bench.result import point
from bench.servers import ACCESS_KEY, SECRET_KEY, Server
from bench.session import Session
from bench.settings import Settings, parser, settings


def measure(run: Settings) -> dict[str, Any]:
    """Return the result of one run, bucket made before and removed after."""
    with Session(run.endpoint, run.accounts, run.workload.buckets) as session:
        measured = session.load(run)
    found: dict[str, Any] = msgspec.to_builtins(point(run, measured))
    del found["histograms"]
    return found


def window(
    server: Server, session: Session, bucket: str, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return what the load of `add_load_arguments` does on a bucket of a session."""
    fields = {
        **vars(arguments),
        "endpoint": server.endpoint,
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "region": "us-east-1",
        "bucket": bucket,
    }
    run = settings(argparse.Namespace(**fields))
    result = msgspec.to_builtins(point(run, session.load(run)))
    return {name: result[name] for name in ("ops_per_s", "latency_ms", "errors")}


def main() -> None:
    """Parse the arguments, measure, print JSON; status 1 where no figure can be had."""
    arguments = parser().parse_args()
    try:
        result = measure(settings(arguments))
    except (BenchError, ValueError, OSError) as error:
        sys.exit(f"bench: {error}")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
