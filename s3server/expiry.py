"""Puts the parts of lifecycle rules together: calendar, jobs, and what commands need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from s3server.config import Config
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids, SystemClock
from s3server.core.lifecycle import Lifecycle
from s3server.core.lifecycle_rules import DAY_MS, Calendar, Due
from s3server.core.locks import check_removable
from s3server.core.log_spool import Spool
from s3server.core.multipart import Multipart
from s3server.core.objects import Objects
from s3server.core.projects import Projects
from s3server.data.base import Pool
from s3server.errors import AccessDenied
from s3server.jobs.delete_projects import DeleteProjects
from s3server.jobs.lifecycle import LifecycleJob
from s3server.jobs.notices import Notices
from s3server.jobs.runner import Job
from s3server.jobs.stale_uploads import StaleUploads
from s3server.meta.lmdb import LmdbStore
from s3server.metadata import open_metadata
from s3server.parts import make_buckets, open_box
from s3server.publishing import make_notifications, make_topics


def make_calendar(config: Config) -> Calendar:
    """Return how long a day of the rules is."""
    return Calendar(round(config.jobs.lifecycle_day_s * 1000))


def make_rule_jobs(
    config: Config, meta: LmdbStore, pools: Mapping[str, Pool], clock: SystemClock, spool: Spool
) -> list[Job]:
    """Return the jobs that do what rules say, and that abort stale uploads."""
    calendar, ids = make_calendar(config), Ids(clock)
    buckets = make_buckets(config, meta, clock, ids)
    blobs = Blobs(meta, pools, clock=clock, ids=ids)
    notifications = make_notifications(config, meta, clock)
    objects = Objects(meta, blobs, clock=clock, notifications=notifications, calendar=calendar)
    multipart = Multipart(meta, blobs, objects, clock=clock)
    jobs: list[Job] = [
        LifecycleJob(
            meta,
            buckets=buckets,
            objects=objects,
            multipart=multipart,
            lifecycle=Lifecycle(meta, buckets, blobs, calendar=calendar),
            clock=clock,
            spool=spool,
        )
    ]
    projects = Projects(meta, clock=clock, ids=ids)
    jobs.append(DeleteProjects(meta, projects, buckets, objects, multipart))
    topics = make_topics(config, meta, clock, ids, open_box(config))
    told = config.events.projects_topic
    jobs.append(Notices(meta, projects, topics, clock=clock, topic=told))
    if config.jobs.stale_upload_days:
        age_ms = round(config.jobs.stale_upload_days * DAY_MS)
        jobs.append(StaleUploads(meta, buckets, multipart, clock=clock, age_ms=age_ms))
    return jobs


@dataclass(frozen=True, slots=True)
class OpenRules:
    """What the commands about lifecycle rules work with."""

    buckets: Buckets
    lifecycle: Lifecycle
    clock: SystemClock

    def is_locked(self, due: Due) -> bool:
        """Return whether a lock keeps what is due from going now."""
        if due.version is None:
            return False
        try:
            check_removable(due.version, self.clock.now_ms(), bypass=False)
        except AccessDenied:
            return due.action != "Expiration" or not due.version.version_id
        return False


@asynccontextmanager
async def open_rules(config: Config) -> AsyncIterator[OpenRules]:
    """Give access to lifecycle rules, whether the server runs or not."""
    clock, meta = SystemClock(), await open_metadata(config)
    ids = Ids(clock)
    try:
        buckets = make_buckets(config, meta, clock, ids)
        blobs = Blobs(meta, {}, clock=clock, ids=ids)
        lifecycle = Lifecycle(meta, buckets, blobs, calendar=make_calendar(config))
        yield OpenRules(buckets, lifecycle, clock)
    finally:
        await meta.close()
