"""`python -m bench.run`: one load on one S3 endpoint, as JSON on standard output.

Makes its bucket, stores what the operation needs, measures, and removes everything again.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import sys
import time
from typing import Any

import uvloop

from bench.client import Tally, drive
from bench.histogram import Histogram
from bench.settings import Settings, parser, settings
from bench.worker import Measured, renderer, sign_for, work
from bench.workload import Request, extra_names, stored_names

_HOUR_NS = 3600 * 10**9
_LOADERS = 32


class BenchError(Exception):
    """The run cannot be done, or would not mean anything."""


def measure(run: Settings) -> dict[str, Any]:
    """Return the result of one run, bucket made before and removed after."""
    _bucket(run, "HEAD", 404)  # what is there already is not ours to fill and empty
    _bucket(run, "PUT", 200)
    try:
        if run.workload.op != "put":
            render = renderer(run)
            _once(run, [render.put(name) for name in stored_names(run.workload)])
        measured = _load(run)
    finally:
        render = renderer(run)
        names = [*stored_names(run.workload), *extra_names(run.workload)]
        _once(run, [render.delete(name) for name in names])
        _bucket(run, "DELETE", 204)
    return report(run, measured)


def report(run: Settings, measured: list[Measured]) -> dict[str, Any]:
    """Return the figures of all processes together."""
    total = measured[0].tally
    for other in measured[1:]:
        total.merge(other.tally)
    latency = Histogram()
    for histogram in total.latency.values():
        latency.merge(histogram)
    seconds = run.duration_s
    if run.workload.op == "delete":  # may run out of keys before its time is up
        seconds = min(seconds, max(total.last_ns - total.start_ns, 0) / 1e9)
    operations = sum(total.completed.values())
    return {
        "op": run.workload.op,
        "size": run.workload.size,
        "connections": run.workload.connections,
        "objects": run.workload.objects,
        "seconds": round(seconds, 3),
        "ops_per_s": round(operations / seconds, 2) if seconds else 0.0,
        "mb_per_s": round(total.size / seconds / 1e6, 2) if seconds else 0.0,
        "latency_ms": latency.summary_ms(),
        "by_kind": {
            kind: {"ops": round(count), **total.latency[kind].summary_ms()}
            for kind, count in sorted(total.completed.items())
        },
        "errors": dict(total.errors),
        "error_sample": total.sample,
        "bodies_verified": total.verified,
        "client_cpus": round(
            sum(part.cpu_s for part in measured) / (run.duration_s + run.warmup_s), 2
        ),
    }


def _load(run: Settings) -> list[Measured]:
    context = multiprocessing.get_context("spawn")
    started = []
    for process in range(run.processes):
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(run, process, theirs))
        child.start()
        theirs.close()
        started.append((child, ours))
    try:
        for _, pipe in started:
            pipe.recv()
        begin_ns = time.perf_counter_ns() + 50_000_000
        for _, pipe in started:
            pipe.send(begin_ns)
        return [pipe.recv() for _, pipe in started]
    except EOFError as error:
        raise BenchError("a load process ended early") from error
    finally:
        for child, _ in started:
            child.join(10)
            child.kill()


def _once(run: Settings, requests: list[Request]) -> None:
    """Send every request once, outside any measurement. Raises BenchError on any failure."""
    now = time.perf_counter_ns()
    tally = Tally(now, now + _HOUR_NS)
    count = min(_LOADERS, len(requests))
    plans = [iter(requests[first::count]) for first in range(count)]
    uvloop.run(drive(run.host, run.port, plans, tally))
    if tally.errors:
        raise BenchError(f"{requests[0].kind} failed: {dict(tally.errors)} {tally.sample}")


def _bucket(run: Settings, method: str, status: int) -> None:
    """Look for, make or remove the bucket. Raises BenchError if the server refuses."""
    path = f"/{run.workload.bucket}"
    lines = sign_for(run).render(method, path).decode().split("\r\n")[1:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    connection = http.client.HTTPConnection(run.host, run.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != status:
        raise BenchError(f"{method} {path} answered {answer.status}: {body[:400]!r}")


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
