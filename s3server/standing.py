"""What the operator of a store wants to know at a glance, from the store itself."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

from s3server.cluster.map_record import MapRecord, OsdRecord
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.osd_watch import down_rows
from s3server.core import records
from s3server.core.clock import SystemClock
from s3server.core.repairs import ASTRAY, LOST
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.vfs import Vfs
from s3server.jobs.board import JobRecord, job_records
from s3server.jobs.scan import scanned_epoch
from s3server.jobs.set_aside import set_aside
from s3server.meta.base import MetadataStore, after_prefix

COUNT_UP_TO = 100_000
_PAGE = 10_000


async def standing_of(meta: MetadataStore) -> dict[str, Any]:
    """Return the state of a store, whether its server runs or not."""
    maps = ClusterMaps(meta, SystemClock())
    record, osds = await maps.current(), await maps.osds()
    down = {each.record.osd: each.record.reason for each in await down_rows(meta)}
    scanned, repairs = await scanned_epoch(meta), await _repairs(meta)
    aside = len(await set_aside(meta))
    jobs = [_job(job) for job in await job_records(meta)]
    rows = [_osd(record, osds[entry.id], down) for entry in record.osds if entry.id in osds]
    return {
        "health": _health(repairs, rows, aside),
        "epoch": record.epoch,
        "scanned_epoch": scanned,
        "repairs": repairs,
        "set_aside": aside,
        "osds": rows,
        "pools": [{"name": pool.name, "codec": pool.codec} for pool in record.pools],
        "jobs": jobs,
    }


def _health(repairs: dict[str, int], osds: list[dict[str, Any]], aside: int) -> str:
    if repairs["unreadable"]:
        return f"DAMAGED: {_blobs(repairs['unreadable'])} cannot be read"
    if repairs["degraded"]:
        return f"DEGRADED: {_blobs(repairs['degraded'])} without all shards"
    for state in ("missing", "down"):
        if found := [str(osd["osd"]) for osd in osds if osd["state"] == state]:
            return f"WARNING: OSDs are {state}: {', '.join(found)}"
    if aside:
        return f"WARNING: {aside} damaged rows are set aside: see `s3server meta set-aside`"
    return "OK"


def _blobs(count: int) -> str:
    return "1 blob" if count == 1 else f"{count} blobs"


def awaited(standing: dict[str, Any]) -> str:
    """Return what is still to be done, and which OSDs may keep it from being done; "": nothing."""
    repairs = standing["repairs"]
    due = {
        f"shards are compared with epoch {standing['epoch']}": (
            standing["scanned_epoch"] != standing["epoch"]
        ),
        "blobs lack shards": repairs["degraded"],
        "blobs are to be moved": repairs["astray"],
    }
    parts = [what for what, is_due in due.items() if is_due]
    if parts:
        parts += [f"osd.{osd['osd']}: {osd['reason']}" for osd in standing["osds"] if osd["reason"]]
    return "; ".join(parts)


def has_returned(standing: dict[str, Any]) -> bool:
    """Return whether an OSD that is down is there again: whoever probes it may find it well."""
    return any(osd["state"] == "down" for osd in standing["osds"])


async def _repairs(meta: MetadataStore) -> dict[str, int]:
    """Return how many blobs wait for repair, each count up to COUNT_UP_TO."""
    degraded = await _count(meta, records.REPAIR, records.REPAIR + bytes((ASTRAY,)))
    astray = await _count(meta, records.REPAIR + bytes((ASTRAY,)), records.REPAIR + bytes((LOST,)))
    lost = await _count(meta, records.REPAIR + bytes((LOST,)), after_prefix(records.REPAIR))
    return {"degraded": degraded, "astray": astray, "unreadable": lost}


async def _count(meta: MetadataStore, start: bytes, stop: bytes) -> int:
    count = 0
    while count < COUNT_UP_TO and (rows := await meta.scan(start, stop, limit=_PAGE)):
        count, start = count + len(rows), rows[-1][0] + b"\0"
    return count


def _osd(record: MapRecord, osd: OsdRecord, down: dict[int, str]) -> dict[str, Any]:
    state = "down" if osd.id in down else record.osd(osd.id).state
    row = {"osd": osd.id, "state": state, "path": osd.path, "reason": down.get(osd.id, "")}
    try:
        os.stat(f"{osd.path}/osd.json")  # else it is not mounted
        usage = DirectoryOsd(osd.path, osd.id, Vfs()).usage()
        journal_bytes = _journal_bytes(f"{osd.path}/journal")
    except OSError as error:
        reason = row["reason"] or error.strerror
        nothing = dict.fromkeys(("used_percent", "bytes", "free_bytes", "journal_bytes"))
        return {**row, "state": "missing", "reason": reason, **nothing}
    return {
        **row,
        "used_percent": round(100 * usage.used_ratio, 1),
        "bytes": usage.used + usage.free,
        "free_bytes": usage.free,
        "journal_bytes": journal_bytes,
    }


def _journal_bytes(directory: str) -> int:
    """Return what copies of the journal and of snapshots take. Raises OSError."""
    total = 0
    try:
        names = os.listdir(directory)
    except FileNotFoundError:  # none was written here yet
        return 0
    for name in names:
        with suppress(FileNotFoundError):  # a snapshot has covered it just now
            total += os.stat(f"{directory}/{name}").st_size
    return total


def _job(job: JobRecord) -> dict[str, Any]:
    eta = job.eta_s
    return {
        "job": job.name,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "unit": job.unit,
        "per_s": job.per_s,
        "eta_s": None if eta is None else round(eta),
        "updated_ms": job.updated_ms,
        "counts": dict(job.counts),
        "note": job.error or job.note,
    }


def progress_text(job: dict[str, Any]) -> str:
    """Return how far a job is, in words."""
    if not job["total"]:
        return f"{job['done']} {job['unit']}".strip() if job["done"] else ""
    text = f"{job['done']}/{job['total']} {job['unit']}"
    if job["per_s"]:
        text += f", {job['per_s']:g}/s"
    if job["eta_s"] is not None:
        text += f", {timedelta(seconds=job['eta_s'])} left"
    return text
