"""A whole experiment: each operation with each number of simultaneous requests, in rounds.

Rounds go over all points, so that what changes on the machine meanwhile shows as spread.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import SystemRandom

from bench.result import Client, Experiment, Point, Result, point
from bench.session import Session, Watch
from bench.settings import Settings, default_objects, warmup_s
from bench.workload import Workload

PREFIX = "s3bench-"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure; `base` has what all points share, its workload a template of theirs."""

    title: str
    base: Settings
    ops: tuple[str, ...]
    connections: tuple[int, ...]
    rounds: int
    objects: int | None
    location: str = ""


def bucket_names(count: int) -> tuple[str, ...]:
    """Return names that nobody else has, by which `s3bench clean` knows what a run has left."""
    run = f"{SystemRandom().getrandbits(40):010x}"
    return tuple(f"{PREFIX}{run}-{number}" for number in range(count))


def conduct(plan: Plan, watch: Watch, tell: Callable[[Point], None]) -> Result:
    """Measure everything; `tell` gets each point when it is done. All buckets go at the end."""
    base = plan.base
    started = datetime.now(UTC)
    points = []
    with Session(
        base.endpoint, base.accounts, base.workload.buckets, location=plan.location, watch=watch
    ) as session:
        for number, run in _runs(plan):
            found = point(run, session.load(run), round_number=number)
            points.append(found)
            tell(found)
    return Result(
        title=plan.title,
        started=started.isoformat(timespec="seconds"),
        client=Client(platform.platform(), os.cpu_count() or 0, platform.python_version()),
        experiment=_described(plan),
        points=points,
    )


def _runs(plan: Plan) -> Iterator[tuple[int, Settings]]:
    template = plan.base.workload
    most = max(plan.connections)
    objects = max(plan.objects or default_objects(template.size, most), most)
    for number in range(1, plan.rounds + 1):
        for connections in plan.connections:
            for op in plan.ops:
                workload = Workload(
                    op=op,
                    size=template.size,
                    objects=objects,
                    connections=connections,
                    buckets=template.buckets,
                    prefix="put-" if op == "put" else "object-",
                    sign_payload=template.sign_payload,
                    verify=template.verify,
                    seed=template.seed,
                )
                yield (
                    number,
                    replace(
                        plan.base,
                        workload=workload,
                        processes=min(plan.base.processes, connections),
                        warmup_s=warmup_s(op, plan.base.warmup_s),
                    ),
                )


def _described(plan: Plan) -> Experiment:
    base = plan.base
    return Experiment(
        endpoint=base.endpoint.url,
        region=base.endpoint.region,
        location=plan.location,
        accounts=len(base.accounts),
        buckets=len(base.workload.buckets),
        processes=base.processes,
        duration_s=base.duration_s,
        warmup_s=base.warmup_s,
        rounds=plan.rounds,
        payload="signed" if base.workload.sign_payload else "unsigned",
        loop="open" if base.rate else "closed",
        arrivals="poisson" if base.poisson else "uniform",
        verify=base.workload.verify,
        seed=base.workload.seed,
    )
