"""What a measurement says, as it is written: JSON that carries no credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.errors import BenchError
from bench.latency import Latency, encoded, histogram, summary
from bench.settings import Settings
from bench.worker import Measured

LARGE = 1 << 20  # from this size on, servers are compared by bytes
_BUSY = 0.9


class Kind(msgspec.Struct, frozen=True):
    """Requests of one kind, of which `ops` ended well in the window."""

    ops: int
    latency_ms: Latency


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One operation with one number of simultaneous requests, in one round."""

    op: str
    size: int
    connections: int
    objects: int
    round: int = 1
    offered_per_s: float | None = None  # in an open loop
    seconds: float
    ops_per_s: float
    mb_per_s: float
    latency_ms: Latency
    by_kind: dict[str, Kind]
    errors: dict[str, int]
    error_sample: str = ""
    unsent: int = 0
    bodies_verified: int = 0
    client_cpus: float = 0.0
    is_client_busy: bool = False  # the load processes used nearly all of a processor each
    histograms: dict[str, str]  # by kind: microseconds, HdrHistogram V2, base64


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """How the points were measured."""

    endpoint: str
    region: str
    location: str
    accounts: int
    buckets: int
    processes: int
    duration_s: float
    warmup_s: float
    rounds: int
    payload: Literal["signed", "unsigned"]
    loop: Literal["closed", "open"]
    arrivals: Literal["poisson", "uniform"]
    verify: str
    seed: int


class Client(msgspec.Struct, frozen=True):
    """The machine that sent the load."""

    system: str
    processors: int
    python: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole experiment."""

    format: Literal["s3bench 1"] = "s3bench 1"
    title: str
    started: str  # ISO 8601, UTC
    client: Client
    experiment: Experiment
    points: list[Point]


def point(run: Settings, measured: list[Measured], *, round_number: int = 1) -> Point:
    """Return the figures of all processes together."""
    total = measured[0].tally
    for other in measured[1:]:
        total.merge(other.tally)
    latency = histogram()
    for one in total.latency.values():
        latency.add(one)
    seconds = run.duration_s
    if run.workload.op == "delete":  # may run out of keys before its time is up
        seconds = min(seconds, max(total.last_ns - total.start_ns, 0) / 1e9)
    operations = sum(total.completed.values())
    cpus = sum(part.cpu_s for part in measured) / (run.duration_s + run.warmup_s)
    return Point(
        op=run.workload.op,
        size=run.workload.size,
        connections=run.workload.connections,
        objects=run.workload.objects,
        round=round_number,
        offered_per_s=run.rate or None,
        seconds=round(seconds, 3),
        ops_per_s=round(operations / seconds, 2) if seconds else 0.0,
        mb_per_s=round(total.size / seconds / 1e6, 2) if seconds else 0.0,
        latency_ms=summary(latency),
        by_kind={
            kind: Kind(round(count), summary(total.latency[kind]))
            for kind, count in sorted(total.completed.items())
        },
        errors=dict(total.errors),
        error_sample=total.sample,
        unsent=total.unsent,
        bodies_verified=total.verified,
        client_cpus=round(cpus, 2),
        is_client_busy=cpus > _BUSY * run.processes,
        histograms={kind: encoded(one) for kind, one in sorted(total.latency.items())},
    )


def save(result: Result, path: Path) -> None:
    """Write a result; a reader sees all of it or what was there before."""
    written = path.with_name(path.name + ".new")
    written.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    written.replace(path)


def load(path: Path) -> Result:
    """Return a result. Raises BenchError for a file that is none, OSError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except msgspec.DecodeError as error:
        raise BenchError(f"{path} is not a result of s3bench: {error}") from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of a result."""
    return msgspec.json.schema(Result)
