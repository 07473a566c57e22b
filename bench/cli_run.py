"""`s3bench run`: its options, its progress bar, and where its results go."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.credentials import Found, find
from bench.endpoint import Endpoint, parse_endpoint
from bench.errors import BenchError
from bench.experiment import Plan, bucket_names, conduct
from bench.report import write_page, write_plots
from bench.result import Point, save
from bench.session import Watch
from bench.settings import Settings, add_run_arguments, check, parse_size
from bench.workload import OPS, Workload

# The two experiments of site B. What an option says goes before what a preset says.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {"size": 4096, "connections": (5, 50, 100, 200, 400, 600, 800), "buckets": 500},
    "large": {"size": 100_000_000, "connections": (1, 4, 16), "buckets": 4},
}


def numbers(text: str) -> tuple[int, ...]:
    """Return 5, 50 for "5,50". Raises ValueError."""
    return tuple(int(part) for part in text.split(","))


def operations(text: str) -> tuple[str, ...]:
    """Return put, get for "put,get". Raises ValueError for what is none."""
    found = tuple(text.split(","))
    if unknown := set(found) - set(OPS):
        raise ValueError(f"no operations: {sorted(unknown)}")
    return found


def add_endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the server is and who talks to it."""
    parser.add_argument("--endpoint", default="", help="http(s)://host:port; or AWS_ENDPOINT_URL")
    parser.add_argument("--region", default="", help="or AWS_REGION, ~/.aws/config")
    parser.add_argument("--ca-file", default="", help="certificates to trust, of an https endpoint")
    parser.add_argument("--access-key", default="", help="or AWS_ACCESS_KEY_ID, ~/.aws/credentials")
    parser.add_argument("--secret-key", default="", help="or AWS_SECRET_ACCESS_KEY")
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        help='account in ~/.aws/credentials; several, or a pattern ("bench-*"), share the buckets',
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run."""
    add_endpoint_arguments(parser)
    parser.add_argument("--preset", choices=PRESETS, help="4 KiB or 100 MB, as site B did")
    parser.add_argument("--op", type=operations, default=("put", "get"), help=f"of {','.join(OPS)}")
    parser.add_argument("--size", type=parse_size, help="of an object (default 4KiB)")
    parser.add_argument("--connections", type=numbers, help="simultaneous requests: 5,50,100")
    parser.add_argument("--buckets", type=int, help="default 1")
    parser.add_argument(
        "--location", default="", help="LocationConstraint, as region:pool chooses the redundancy"
    )
    add_run_arguments(parser)
    parser.add_argument("--rounds", type=int, default=3, help="over all points (default 3)")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="open loop: requests per second, sent when due"
    )
    parser.add_argument("--arrivals", default="poisson", choices=("poisson", "uniform"))
    parser.add_argument("--verify", default="sample", choices=("sample", "all", "none"))
    parser.add_argument("--seed", type=int, default=1, help="of keys, bodies and arrivals")
    parser.add_argument("--title", default="", help="of the result")
    parser.add_argument(
        "--out", type=Path, default=Path("s3bench.json"), help="default %(default)s"
    )
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="write PNG figures")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page")


def endpoint(given: argparse.Namespace, found: Found) -> Endpoint:
    """Return the endpoint that options or configuration name."""
    url = given.endpoint or found.endpoint
    if not url:
        raise BenchError("no endpoint: --endpoint or AWS_ENDPOINT_URL")
    return parse_endpoint(url, given.region or found.region or "us-east-1", given.ca_file)


def plan(given: argparse.Namespace) -> Plan:
    """Return what the options ask for. Raises BenchError and ValueError."""
    asked = {
        "size": 4096,
        "connections": (16,),
        "buckets": 1,
        **PRESETS.get(given.preset or "", {}),
    }
    asked |= {name: getattr(given, name) for name in asked if getattr(given, name) is not None}
    check(asked["size"], 1, min(asked["connections"]))
    if given.processes < 1 or given.rounds < 1 or asked["buckets"] < 1 or given.rate < 0:
        raise ValueError("processes, rounds and buckets are at least 1, a rate is not below 0")
    found = find(given.access_key, given.secret_key, given.profile)
    where = endpoint(given, found)
    base = Settings(
        endpoint=where,
        accounts=found.accounts,
        processes=given.processes,
        duration_s=given.duration,
        warmup_s=given.warmup,
        rate=given.rate,
        poisson=given.arrivals == "poisson",
        workload=Workload(
            op="put",
            size=asked["size"],
            objects=0,
            connections=0,
            buckets=bucket_names(asked["buckets"]),
            sign_payload=given.payload == "signed",
            verify=given.verify,
            seed=given.seed,
        ),
    )
    return Plan(
        title=given.title or where.url,
        base=base,
        ops=given.op,
        connections=asked["connections"],
        rounds=given.rounds,
        objects=given.objects,
        location=given.location,
    )


def run(given: argparse.Namespace) -> None:
    """Measure, and write what was asked for."""
    todo = plan(given)
    console = Console(stderr=True)
    with _progress(console, len(todo.ops) * len(todo.connections) * todo.rounds) as (watch, tell):
        try:
            result = conduct(todo, watch, tell)
        except KeyboardInterrupt:
            console.print("stopped; its buckets are removed")
            raise
    save(result, given.out)
    print(given.out)
    if given.plots:
        for path in write_plots(result, given.plots, given.out.stem):
            print(path)
    if given.html:
        write_page(result, given.html)
        print(given.html)


@contextmanager
def _progress(console: Console, points: int) -> Iterator[tuple[Watch, Any]]:
    """Show how far the whole is, and a line for each point that is done."""
    columns = (
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=points)
        done = 0

        def watch(what: str, share: float, requests: int, errors: int) -> None:
            is_point = " x " in what
            failed = f", {errors} errors" if errors else ""
            text = f"{what}: {requests:,}{failed}" if requests else what
            bar.update(task, completed=done + share * is_point, description=text)

        def tell(point: Point) -> None:
            nonlocal done
            done += 1
            console.print(line(point))

        yield watch, tell


def line(point: Point) -> str:
    """Return a point in a line."""
    figures = f"{point.ops_per_s:>10,.0f} op/s {point.mb_per_s:>9,.1f} MB/s"
    latency = f"p50 {point.latency_ms.p50:.2f} ms, p99 {point.latency_ms.p99:.2f} ms"
    rest = f", errors {point.errors}" if point.errors else ""
    rest += f", {point.unsent} never sent" if point.unsent else ""
    rest += ", client at its limit" if point.is_client_busy else ""
    return f"{point.round}: {point.op:<6} x {point.connections:<4} {figures}  {latency}{rest}"
