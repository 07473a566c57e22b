"""One load process: renders its share of the requests, says it is ready, waits for the start."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection as Pipe

import uvloop

from bench.client import Tally, drive
from bench.settings import Settings
from bench.signing import Signer, signer
from bench.workload import Renderer, shared_body


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process sends back: its tally, and the processor seconds it used meanwhile."""

    tally: Tally
    cpu_s: float


def sign_for(settings: Settings) -> Signer:
    """Return a signer for now."""
    amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host = f"{settings.host}:{settings.port}"
    return signer(host, settings.access_key, settings.secret_key, amz_date, settings.region)


def renderer(settings: Settings) -> Renderer:
    """Return a renderer that signs for now."""
    return Renderer(settings.workload, sign_for(settings), shared_body(settings.workload.size))


def work(settings: Settings, process: int, pipe: Pipe) -> None:
    """Body of load process number `process`: sends "ready", receives the start, sends Measured."""
    render = renderer(settings)
    workload = settings.workload
    plans = [
        render.plan(connection)
        for connection in range(process, workload.connections, settings.processes)
    ]
    gc.collect()
    gc.freeze()
    pipe.send("ready")
    begin_ns = pipe.recv()
    start_ns = begin_ns + int(settings.warmup_s * 1e9)
    tally = Tally(start_ns, start_ns + int(settings.duration_s * 1e9))
    repeat = iter if workload.op == "delete" else cycle
    time.sleep(max(begin_ns - time.perf_counter_ns(), 0) / 1e9)
    before = time.process_time()
    uvloop.run(drive(settings.host, settings.port, [repeat(plan) for plan in plans], tally))
    pipe.send(Measured(tally, time.process_time() - before))
