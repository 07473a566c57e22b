"""Puts access logs and inventories together: their jobs, and what commands need."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from s3server.config import Config
from s3server.core.access import Access
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids, SystemClock
from s3server.core.listing import Listing
from s3server.core.log_spool import Spool
from s3server.core.objects import Objects
from s3server.data.base import Pool
from s3server.expiry import make_calendar
from s3server.jobs.access_logs import AccessLogJob
from s3server.jobs.courier import Courier
from s3server.jobs.inventory import InventoryJob
from s3server.jobs.runner import Job
from s3server.meta.lmdb import LmdbStore
from s3server.metadata import open_metadata
from s3server.parts import key_ring, make_buckets, open_watch
from s3server.publishing import make_notifications


def make_spool(config: Config, clock: SystemClock) -> Spool:
    """Return where this process leaves lines of access logs: beside the metadata."""
    meta_dir = config.storage.meta_dir
    return Spool(
        meta_dir.with_name(meta_dir.name + ".access-logs"),
        clock=clock,
        interval_s=config.jobs.access_log_s,
        writer=os.urandom(8).hex(),
    )


def make_report_jobs(
    config: Config, meta: LmdbStore, pools: Mapping[str, Pool], clock: SystemClock, spool: Spool
) -> list[Job]:
    """Return the jobs that deliver access logs and make inventories."""
    buckets, courier = _courier(config, meta, pools, clock)
    return [
        AccessLogJob(spool, buckets, courier),
        _inventory(config, meta, buckets, courier, clock),
    ]


@dataclass(frozen=True, slots=True)
class Inventories:
    """What commands about inventories work with."""

    meta: LmdbStore
    buckets: Buckets
    job: InventoryJob


@asynccontextmanager
async def open_inventories(config: Config) -> AsyncIterator[Inventories]:
    """Give access to inventories, whether the server runs or not."""
    clock, meta = SystemClock(), await open_metadata(config)
    try:
        watch = await open_watch(config, meta)
        try:
            buckets, courier = _courier(config, meta, watch.cluster.pools, clock)
            yield Inventories(meta, buckets, _inventory(config, meta, buckets, courier, clock))
        finally:
            await watch.close()
    finally:
        await meta.close()


def _courier(
    config: Config, meta: LmdbStore, pools: Mapping[str, Pool], clock: SystemClock
) -> tuple[Buckets, Courier]:
    ids = Ids(clock)
    buckets = make_buckets(config, meta, clock, ids)
    objects = Objects(
        meta,
        Blobs(meta, pools, clock=clock, ids=ids),
        clock=clock,
        notifications=make_notifications(config, meta, clock),
        calendar=make_calendar(config),
    )
    access = Access(meta, buckets)
    return buckets, Courier(buckets, objects, access, key_ring(config), clock)


def _inventory(
    config: Config, meta: LmdbStore, buckets: Buckets, courier: Courier, clock: SystemClock
) -> InventoryJob:
    return InventoryJob(
        meta,
        buckets=buckets,
        listing=Listing(meta),
        courier=courier,
        clock=clock,
        calendar=make_calendar(config),
    )
