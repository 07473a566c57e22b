"""What one run does, from the command line; sizes as people write them."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.workload import OPS, Workload

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_STORED = 2 * 10**9  # bytes that the default number of objects may take
_MOST_OBJECTS = 20_000


@dataclass(frozen=True, slots=True)
class Settings:
    """One run against one endpoint. Times in seconds."""

    host: str
    port: int
    access_key: str
    secret_key: str
    region: str
    processes: int
    duration_s: float
    warmup_s: float
    workload: Workload


def parse_size(text: str) -> int:
    """Return bytes for "4KiB", "100MB", "512". Raises ValueError."""
    found = re.fullmatch(r"(\d+) ?([A-Za-z]*)", text)
    if not found or found[2].upper() not in _UNITS:
        raise ValueError(f"not a size: {text!r}")
    return int(found[1]) * _UNITS[found[2].upper()]


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a load, whatever it runs against."""
    parser.add_argument("--size", default="4KiB", type=parse_size, help="of an object")
    parser.add_argument("--op", default="put", choices=OPS)
    parser.add_argument("--connections", default=200, type=int, help="of all processes together")
    parser.add_argument("--processes", default=2, type=int)
    parser.add_argument("--duration", default=10.0, type=float, help="seconds measured")
    parser.add_argument("--warmup", default=2.0, type=float, help="seconds before")
    parser.add_argument("--objects", type=int, help="number of keys")
    parser.add_argument("--payload", default="signed", choices=("signed", "unsigned"))


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
    url = urlsplit(arguments.endpoint)
    if url.scheme != "http" or not url.hostname:
        raise ValueError("the endpoint is http://host:port (TLS would measure the client)")
    if not 1 <= arguments.processes <= arguments.connections or arguments.size < 1:
        raise ValueError("at least one byte, one process, and one connection for each process")
    fitting = min(_STORED // arguments.size, _MOST_OBJECTS)
    objects = max(arguments.objects or fitting, arguments.connections)
    workload = Workload(
        arguments.op,
        arguments.bucket,
        arguments.size,
        objects,
        arguments.connections,
        arguments.payload == "signed",
    )
    return Settings(
        host=url.hostname,
        port=url.port or 80,
        access_key=arguments.access_key,
        secret_key=arguments.secret_key,
        region=arguments.region,
        processes=arguments.processes,
        duration_s=arguments.duration,
        # A key can be deleted once only: none may be spent on warming up.
        warmup_s=0.0 if arguments.op == "delete" else arguments.warmup,
        workload=workload,
    )
