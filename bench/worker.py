"""One load process: says it is ready, waits for the start, drives its share of the connections."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

import uvloop

from bench.client import drive
from bench.pace import Pace, due_times
from bench.settings import Settings
from bench.tally import Tally
from bench.workload import Bodies, Renderer, Request

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process sends back: its tally, and the processor seconds it used meanwhile."""

    tally: Tally
    cpu_s: float


def renderer(settings: Settings) -> Renderer:
    """Return what renders the requests of a run."""
    workload = settings.workload
    signers = [settings.endpoint.signer(account) for account in settings.accounts]
    return Renderer(workload, signers, Bodies(workload.size, workload.seed))


def work(settings: Settings, process: int, pipe: Pipe, counts: Any) -> None:
    """Body of load process number `process`: sends "ready", receives the start, sends Measured.

    `counts` is shared memory of two numbers per process, requests done and errors, for who watches.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, after its own clean-up
    render = renderer(settings)
    mine = range(process, settings.workload.connections, settings.processes)
    plans = [render.plan(connection) for connection in mine]
    gc.collect()
    gc.freeze()
    pipe.send("ready")
    begin_ns = pipe.recv()
    start_ns = begin_ns + int(settings.warmup_s * 1e9)
    tally = Tally(start_ns, start_ns + int(settings.duration_s * 1e9))
    time.sleep(max(begin_ns - time.perf_counter_ns(), 0) / 1e9)
    before = time.process_time()
    uvloop.run(_drive(settings, process, plans, tally, counts))
    pipe.send(Measured(tally, time.process_time() - before))


async def _drive(
    settings: Settings, process: int, plans: list[Iterator[Request]], tally: Tally, counts: Any
) -> None:
    endpoint = settings.endpoint
    watch = asyncio.create_task(_tell(process, tally, counts))
    try:
        await drive(
            endpoint.host,
            endpoint.port,
            plans,
            tally,
            tls=endpoint.tls(),
            pace=_pace(settings, process, tally),
        )
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


def _pace(settings: Settings, process: int, tally: Tally) -> Pace | None:
    """Return this process's share of an open loop; nothing in a closed one."""
    if not settings.rate:
        return None
    seed = f"{settings.workload.seed} arrivals {process}"
    per_s = settings.rate / settings.processes
    begin_ns = tally.start_ns - int(settings.warmup_s * 1e9)
    times = due_times(begin_ns, per_s, seed=seed, poisson=settings.poisson)
    return Pace(times, tally.stop_ns)


async def _tell(process: int, tally: Tally, counts: Any) -> None:
    while True:
        counts[2 * process] = int(sum(tally.completed.values()))
        counts[2 * process + 1] = sum(tally.errors.values())
        await asyncio.sleep(_LOOK_S)
