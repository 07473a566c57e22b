"""What Prometheus is told of the store: its devices, repairs, jobs and snapshots."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from s3server.meta.base import MetadataStore
from s3server.meta.journal import Journal
from s3server.meta.snapshot import stored_snapshots
from s3server.metrics.families import family, render
from s3server.standing import standing_of


class JournalledStore(MetadataStore, Protocol):
    """A store that may have a journal."""

    @property
    def journal(self) -> Journal | None: ...


async def render_store(meta: JournalledStore) -> bytes:
    """Return the state of a store in Prometheus' text format."""
    found = await standing_of(meta)
    epoch, aside = family("s3server_map_epoch"), family("s3server_garbage_set_aside")
    epoch.add_metric([], found["epoch"])
    aside.add_metric([], found["set_aside"])
    queue = family("s3server_repair_queue")
    for kind, count in found["repairs"].items():
        queue.add_metric([kind], count)
    snapshot = family("s3server_snapshot_timestamp_seconds")
    if meta.journal is not None:
        newest = await asyncio.to_thread(_newest_snapshot_s, meta.journal)
        if newest is not None:
            snapshot.add_metric([], newest)
    return render([epoch, aside, queue, snapshot, *_osds(found["osds"]), *_jobs(found["jobs"])])


def _newest_snapshot_s(journal: Journal) -> float | None:
    found = stored_snapshots(journal.osds, journal.cluster)
    return found[0].snapshot.taken_ms / 1000 if found else None


def _osds(rows: list[dict[str, Any]]) -> list[Any]:
    state = family("s3server_osd_state")
    size, free = family("s3server_osd_size_bytes"), family("s3server_osd_free_bytes")
    journal = family("s3server_osd_journal_bytes")
    for row in rows:
        osd = str(row["osd"])
        state.add_metric([osd, row["state"]], 1)
        if row["bytes"] is not None:
            size.add_metric([osd], row["bytes"])
            free.add_metric([osd], row["free_bytes"])
            journal.add_metric([osd], row["journal_bytes"])
    return [state, size, free, journal]


def _jobs(rows: list[dict[str, Any]]) -> list[Any]:
    state, updated = family("s3server_job_state"), family("s3server_job_updated_timestamp_seconds")
    done, size = family("s3server_job_done"), family("s3server_job_size")
    for row in rows:
        state.add_metric([row["job"], row["state"]], 1)
        updated.add_metric([row["job"]], row["updated_ms"] / 1000)
        if row["total"]:
            done.add_metric([row["job"], row["unit"]], row["done"])
            size.add_metric([row["job"], row["unit"]], row["total"])
    return [state, updated, done, size]
