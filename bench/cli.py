"""`s3bench`: load on any S3 endpoint, its figures as JSON, plots and a page; see README.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import cli_run, cli_scan, stop
from bench.ceiling import ceiling
from bench.comparison import compare, table
from bench.credentials import find
from bench.endpoint import talking
from bench.errors import BenchError
from bench.experiment import PREFIX
from bench.report import write_page, write_plots
from bench.result import load, schema
from bench.servers import ServerError
from bench.session import remove
from bench.settings import parse_size


def clean(given: argparse.Namespace) -> None:
    """Remove the buckets that a run has left, which was killed before it could do so."""
    found = find(given.access_key, given.secret_key, given.profile)
    for account in found.accounts:
        with talking(cli_run.endpoint(given, found), account) as api:
            for bucket in api.buckets(given.prefix):
                remove(api, bucket)
                print(f"removed {bucket}")


def report(given: argparse.Namespace) -> None:
    """Draw the figures of a result, and write its page."""
    result = load(given.result)
    for path in write_plots(result, given.plots or given.result.parent, given.result.stem):
        print(path)
    page = given.html or given.result.with_suffix(".html")
    write_page(result, page)
    print(page)


def compared(given: argparse.Namespace) -> None:
    """Print the ratios of two results."""
    found = compare(load(given.a), load(given.b))
    if given.json:
        print(json.dumps([one.as_dict() for one in found], indent=1))
    else:
        table(found, given.a.stem, given.b.stem)


def measure_ceiling(given: argparse.Namespace) -> None:
    """Print what the client itself can do."""
    found = ceiling(given.op, given.size, given.connections, given.duration, given.rounds)
    print(json.dumps(found, indent=1))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(prog="s3bench", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, about: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=about, description=about)
        one.set_defaults(function=function)
        return one

    cli_run.add_arguments(command("run", cli_run.run, "measure an endpoint"))
    scans = command(
        "scan", cli_scan.run, "a file read in place: seconds by source, and ratios to a local disk"
    )
    cli_scan.add_arguments(scans)
    one = command("report", report, "plots (PNG) and a page (HTML) of a result")
    one.add_argument("result", type=Path)
    one.add_argument("--plots", type=Path, metavar="DIRECTORY", help="default: beside the result")
    one.add_argument("--html", type=Path, metavar="FILE", help="default: beside the result")
    one = command("compare", compared, "ratios A/B of two results, point by point")
    one.add_argument("a", type=Path, help="result of a run, as --out wrote it")
    one.add_argument("b", type=Path, help="another one, of the same points")
    one.add_argument("--json", action="store_true", help="print JSON")
    one = command("clean", clean, "remove what a killed run has left")
    cli_run.add_endpoint_arguments(one)
    one.add_argument("--prefix", default=PREFIX, help="of the buckets' names (default %(default)s)")
    one = command("ceiling", measure_ceiling, "what the client itself can do, on one processor")
    one.add_argument("--op", default="get", choices=("get", "put"))
    one.add_argument("--size", default=4096, type=parse_size)
    one.add_argument("--connections", default=64, type=int)
    one.add_argument("--duration", default=5.0, type=float, help="seconds")
    one.add_argument("--rounds", default=3, type=int)
    one = command("schema", lambda _: print(json.dumps(schema(), indent=1)), "of a result's JSON")
    return whole


def main() -> None:
    """Run a command; status 1 and one line where there is no figure, 130 where it was stopped."""
    given = parser().parse_args()
    stop.heed()  # buckets are removed then, too
    try:
        given.function(given)
    except OSError as error:
        known = error.filename is not None and error.strerror is not None
        sys.exit(f"s3bench: {f'{error.filename}: {error.strerror}' if known else error}")
    except (BenchError, ServerError, ValueError) as error:
        sys.exit(f"s3bench: {error}")
    except KeyboardInterrupt:
        print("s3bench: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
