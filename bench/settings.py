"""What one run does, from the command line; sizes as people write them."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from bench.endpoint import Endpoint, parse_endpoint
from bench.signing import Account
from bench.workload import OPS, Workload

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_STORED = 2 * 10**9  # bytes that the default number of objects may take
_MOST_OBJECTS = 20_000


@dataclass(frozen=True, slots=True)
class Settings:
    """One load on one endpoint. Times in seconds; `rate` is requests per second, 0: closed loop."""

    endpoint: Endpoint
    accounts: tuple[Account, ...]
    processes: int
    duration_s: float
    warmup_s: float
    workload: Workload
    rate: float = 0.0
    poisson: bool = True


def parse_size(text: str) -> int:
    """Return bytes for "4KiB", "100MB", "512". Raises ValueError."""
    found = re.fullmatch(r"(\d+) ?([A-Za-z]*)", text)
    if not found or found[2].upper() not in _UNITS:
        raise ValueError(f"not a size: {text!r}")
    return int(found[1]) * _UNITS[found[2].upper()]


def default_objects(size: int, connections: int) -> int:
    """Return how many keys a load has where nobody says: one for each connection at least."""
    return max(min(_STORED // size, _MOST_OBJECTS), connections)


def check(size: int, processes: int, connections: int) -> None:
    """Raise ValueError for what cannot be run."""
    if not 1 <= processes <= connections or size < 1:
        raise ValueError("at least one byte, one process, and one connection for each process")


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a load, whatever it runs against."""
    parser.add_argument("--size", default="4KiB", type=parse_size, help="of an object")
    parser.add_argument("--op", default="put", choices=OPS)
    parser.add_argument("--connections", default=200, type=int, help="of all processes together")
    add_run_arguments(parser)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that loads of any size and number of connections share."""
    parser.add_argument(
        "--processes",
        default=1,
        type=int,
        help="that send the load (default 1: up to 50,000 small requests per second)",
    )
    parser.add_argument("--duration", default=10.0, type=float, help="seconds measured")
    parser.add_argument("--warmup", default=2.0, type=float, help="seconds before")
    parser.add_argument("--objects", type=int, help="number of keys")
    parser.add_argument(
        "--payload", default="signed", choices=("signed", "unsigned"), help="SHA-256 of bodies"
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.run`."""
    found = argparse.ArgumentParser(prog="bench.run", description="Load on one S3 endpoint")
    found.add_argument("--endpoint", default="http://127.0.0.1:9000")
    found.add_argument("--access-key", required=True)
    found.add_argument("--secret-key", required=True)
    found.add_argument("--region", default="us-east-1")
    found.add_argument("--bucket", default="bench-load", help="made by the run, removed after it")
    add_load_arguments(found)
    return found


def settings(arguments: argparse.Namespace) -> Settings:
    """Return the run that the arguments describe. Raises ValueError for what cannot be run."""
    check(arguments.size, arguments.processes, arguments.connections)
    objects = arguments.objects or default_objects(arguments.size, arguments.connections)
    workload = Workload(
        op=arguments.op,
        size=arguments.size,
        objects=max(objects, arguments.connections),
        connections=arguments.connections,
        buckets=(arguments.bucket,),
        sign_payload=arguments.payload == "signed",
    )
    return Settings(
        endpoint=parse_endpoint(arguments.endpoint, arguments.region),
        accounts=(Account(arguments.access_key, arguments.secret_key),),
        processes=arguments.processes,
        duration_s=arguments.duration,
        warmup_s=warmup_s(arguments.op, arguments.warmup),
        workload=workload,
    )


def warmup_s(op: str, asked_s: float) -> float:
    """Return the warm-up; a key can be deleted once only, so none may be spent on it."""
    return 0.0 if op == "delete" else asked_s
