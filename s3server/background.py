"""The composition root of the jobs process: the work that nobody waits for."""

from __future__ import annotations

import asyncio
import hashlib
import socket

from s3server.cluster.live import Cluster
from s3server.config import Config, JobsConfig
from s3server.core.clock import SystemClock
from s3server.counters import run_directory
from s3server.events.bell import Bell
from s3server.expiry import make_rule_jobs
from s3server.jobs.board import Board
from s3server.jobs.collect import Collect
from s3server.jobs.compact import Compact
from s3server.jobs.lease import Lease
from s3server.jobs.out import Out
from s3server.jobs.probe import Probe
from s3server.jobs.repair import Repair
from s3server.jobs.runner import Job, Runner
from s3server.jobs.scan import Scan
from s3server.jobs.scrub import Scrub
from s3server.jobs.snapshot import Snapshots
from s3server.jobs.sweep import Sweep
from s3server.jobs.throttle import Throttle
from s3server.jobs.usage import Usage
from s3server.meta.lmdb import LmdbStore
from s3server.metadata import open_metadata
from s3server.metering import directory_of
from s3server.parts import (
    cancel,
    follow_map,
    grace_ms,
    open_box,
    open_watch,
    repeat,
)
from s3server.publishing import make_outbox
from s3server.reports import make_report_jobs, make_spool

TIDY_INTERVAL_S = 60
JOB_INTERVAL_S = 1.0
LEASE_MS = 30_000


async def run_jobs(config: Config) -> None:
    """Do the background work until cancelled."""
    clock = SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_failure() -> None:
        loop.call_soon_threadsafe(stop.set)

    meta = await open_metadata(config, on_failure)
    watch = await open_watch(config, meta)
    cluster = watch.cluster
    spool = make_spool(config, clock)
    jobs: list[Job] = [
        Probe(meta, cluster.osds, watch.reopen),
        Collect(meta, cluster.pools, clock=clock, grace_ms=grace_ms(config)),
        Compact(meta, cluster.pools, cluster.osds, clock=clock),
        Sweep(meta, cluster.osds, clock=clock, down=lambda: cluster.osd_set.down),
        Snapshots(meta, clock=clock),
        Usage(meta, directory_of(config.storage.meta_dir), clock=clock),
        *make_rule_jobs(config, meta, cluster.pools, clock, spool),
        *make_report_jobs(config, meta, cluster.pools, clock, spool),
        *_keep_whole(config.jobs, meta, cluster, clock, grace_ms(config)),
    ]
    bell = Bell(run_directory(config.storage.meta_dir))
    outbox = await make_outbox(config, meta, clock, open_box(config), bell)
    jobs.append(outbox)
    lease = Lease(meta, "jobs", holder=_gateway(config), clock=clock, duration_ms=LEASE_MS)
    tasks = [
        loop.create_task(repeat(meta.tidy, TIDY_INTERVAL_S)),
        loop.create_task(follow_map(config, meta, cluster)),
        loop.create_task(watch.run()),
    ]
    try:
        await Runner(jobs, lease, Board(meta, clock), interval_s=JOB_INTERVAL_S).run(stop)
    finally:
        await cancel(tasks)
        bell.close()
        await outbox.close()
        await watch.close()
        await meta.close()


def _keep_whole(
    config: JobsConfig, meta: LmdbStore, cluster: Cluster, clock: SystemClock, grace_ms: int
) -> list[Job]:
    """Return the jobs that find what is damaged, lost or astray, and make it good."""
    scrub = Throttle(config.scrub_mib_s)
    light_ms = round(config.light_scrub_h * 3_600_000)
    deep_ms = round(config.deep_scrub_days * 86_400_000)
    return [
        Out(meta, clock=clock, down_out_ms=round(config.down_out_s * 1000)),
        Scan(meta, cluster.pools, clock=clock, epoch=lambda: cluster.map.epoch),
        Repair(
            meta,
            cluster.pools,
            cluster.osds,
            clock=clock,
            grace_ms=grace_ms,
            repair=Throttle(config.repair_mib_s),
            rebalance=Throttle(config.rebalance_mib_s),
            down=lambda: cluster.osd_set.down,
        ),
        Scrub(meta, cluster.pools, clock=clock, deep=False, every_ms=light_ms, throttle=scrub),
        Scrub(meta, cluster.pools, clock=clock, deep=True, every_ms=deep_ms, throttle=scrub),
    ]


def _gateway(config: Config) -> bytes:
    """Return what this machine's server is known by in leases: 16 bytes.

    After a crash it is the same again, so that the work goes on at once and not when the lease of
    the dead process ends. The store's lock keeps a second server from being known by it.
    """
    name = f"{socket.gethostname()}:{config.storage.meta_dir}"
    return hashlib.sha256(name.encode()).digest()[:16]
