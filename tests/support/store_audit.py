"""Looks through a whole store that nobody serves: are the counts exact, has every byte a use.

`audit` reads; `clean` lets the jobs do what is due once every lease and grace has run out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from s3server.cluster.live import Cluster, watch_cluster
from s3server.core import records
from s3server.core.records import (
    BlobRecord,
    BucketRecord,
    GarbageRecord,
    ObjectRecord,
    PartRecord,
    RepairRecord,
    UploadRecord,
    decode,
)
from s3server.data.layout import RECORD_HEADER
from s3server.jobs.collect import Collect
from s3server.jobs.compact import Compact
from s3server.jobs.runner import Job
from s3server.jobs.sweep import Sweep
from s3server.meta.base import MetadataStore, after_prefix, decode_counter
from s3server.metadata import open_metadata
from s3server.settings import load

DAY_MS = 24 * 3_600_000
NO_PART = b"\0\0"  # the number under which an upload's revision is counted


@dataclass(slots=True)
class LateClock:
    """A clock that is days ahead, by which every lease is over."""

    ms: int

    def now_ms(self) -> int:
        return self.ms


@dataclass(slots=True)
class Audit:
    """What was found."""

    problems: list[str] = field(default_factory=list)
    objects: int = 0
    blobs: int = 0
    degraded: int = 0  # blobs that lack shards, as a row says
    garbage: int = 0  # rows
    shard_files: int = 0
    dead_shard_files: int = 0
    unfinished_files: int = 0
    volumes: int = 0
    dead_volumes: int = 0
    sparse_volumes: int = 0  # less than half of it live

    def expect(self, holds: bool, what: str) -> None:
        """Note a problem unless it holds."""
        if not holds:
            self.problems.append(what)


@dataclass(frozen=True, slots=True)
class StoppedStore:
    """The parts of a store, opened by nobody else."""

    meta: MetadataStore
    cluster: Cluster


@asynccontextmanager
async def stopped_store(settings: Path) -> AsyncIterator[StoppedStore]:
    """Open the store of these settings while no server runs on it."""
    config = load(settings)
    meta = await open_metadata(config)
    try:
        cluster = (await watch_cluster(meta, small_limit=65_536)).cluster
        yield StoppedStore(meta, cluster)
        for pool in cluster.pools.values():
            await pool.close()
    finally:
        await meta.close()


async def clean(store: StoppedStore, now_ms: int) -> None:
    """Collect, sweep and compact until there is nothing to do, days later."""
    meta, cluster = store.meta, store.cluster
    clock = LateClock(now_ms + 2 * DAY_MS)
    compact = Compact(meta, cluster.pools, cluster.osds, clock=clock)
    jobs: list[Job] = [
        Collect(meta, cluster.pools, clock=clock, grace_ms=1_000),
        Sweep(meta, cluster.osds, clock=clock),
        # A volume is emptied, found dead, and unlinked; others become sparse by that.
        *[compact] * 6,
    ]
    for job in jobs:
        clock.ms += DAY_MS
        while (await job.step()).has_more:
            pass


async def audit(store: StoppedStore) -> Audit:
    """Return what is wrong, and what takes space that nothing refers to."""
    found = Audit()
    blobs = {
        key[1:]: decode(BlobRecord, row) for key, row in await _table(store.meta, records.BLOB)
    }
    found.blobs = len(blobs)
    to_repair = {
        decode(RepairRecord, row).blob for _, row in await _table(store.meta, records.REPAIR)
    }
    await _check_uses(store.meta, blobs, found)
    await _check_buckets(store.meta, found)
    for blob, record in blobs.items():
        if record.ref is not None:
            health = await store.cluster.pools[record.ref.pool].check(record.ref)
            bad = [index for index, state in enumerate(health.shards) if state != "ok"]
            found.expect(bad == list(record.ref.absent), f"blob {blob.hex()}: {health.shards}")
            if record.ref.absent:
                found.degraded += 1
                found.expect(blob in to_repair, f"no row asks for the repair of {blob.hex()}")
    _check_files(store.cluster, blobs, found)
    return found


async def _table(meta: MetadataStore, table: bytes) -> list[tuple[bytes, bytes]]:
    return await meta.scan(table, after_prefix(table), limit=10_000_000)


async def _check_uses(meta: MetadataStore, blobs: dict[bytes, BlobRecord], found: Audit) -> None:
    uses: Counter[bytes] = Counter()
    for table in (records.OBJECT, records.VERSION):
        for _, row in await _table(meta, table):
            uses.update(decode(ObjectRecord, row).blobs)
    uploads = {decode(UploadRecord, row).id for _, row in await _table(meta, records.UPLOAD)}
    for key, row in await _table(meta, records.PART):
        upload, number = key[1:17], key[17:]
        found.expect(upload in uploads, f"part {number.hex()} of no upload {upload.hex()}")
        if number != NO_PART:
            uses[decode(PartRecord, row).blob] += 1
    for record in blobs.values():
        uses.update(part.blob for part in record.parts)
    for _, row in await _table(meta, records.GARBAGE):
        found.garbage += 1
        uses.update(decode(GarbageRecord, row).blobs)
    uses.pop(b"", None)
    counted = {blob: record.uses for blob, record in blobs.items()}
    for blob in sorted(counted.keys() | uses.keys()):
        expected, actual = uses[blob], counted.get(blob)
        found.expect(expected == actual, f"blob {blob.hex()} has {expected} uses, not {actual}")


async def _check_buckets(meta: MetadataStore, found: Audit) -> None:
    buckets = [decode(BucketRecord, row) for _, row in await _table(meta, records.BUCKET)]
    owned = {key for key, _ in await _table(meta, records.BUCKET_OF)}
    expected = {records.bucket_of_key(bucket.owner, bucket.name) for bucket in buckets}
    found.expect(owned == expected, f"buckets {expected} are listed as {owned}")
    counters = dict(await _table(meta, records.COUNTER))
    for bucket in buckets:
        rows = await _table(meta, records.OBJECT + bucket.id)
        below = await _table(meta, records.VERSION + bucket.id)
        current = [decode(ObjectRecord, row) for _, row in rows]
        older = [decode(ObjectRecord, row) for _, row in below]
        old = [record for record in older if not record.is_delete_marker]
        found.objects += len(current)
        uploads = await _table(meta, records.UPLOAD + bucket.id)
        parts = [
            decode(PartRecord, row)
            for _, upload in uploads
            for key, row in await _table(meta, records.PART + decode(UploadRecord, upload).id)
            if key[17:] != b"\0\0"
        ]
        for name, actual in (
            ("objects", len(current)),
            ("bytes", sum(record.space for record in current)),
            ("old", len(old)),
            ("old-bytes", sum(record.space for record in old)),
            ("markers", len(older) - len(old)),
            ("uploads", len(uploads)),
            ("part-bytes", sum(part.size for part in parts)),
        ):
            counter = decode_counter(counters.pop(records.counter_key(bucket.id, name), None))
            found.expect(actual == counter, f"{bucket.name}: {actual} {name}, counted {counter}")
    found.expect(not counters, f"counters of no bucket: {sorted(counters)}")


def _check_files(cluster: Cluster, blobs: dict[bytes, BlobRecord], found: Audit) -> None:
    """Count what lies on the OSDs. Which shards have to be there has been checked before."""
    live_files, live_records = set(), set()
    for blob, record in blobs.items():
        if record.ref is None:
            continue
        for index, place in enumerate(record.ref.shards):
            if record.ref.stripe:
                live_files.add((place.osd, blob, index))
            else:
                live_records.add((place.osd, place.volume, blob, place.offset))
    for osd in cluster.osds.values():
        found.unfinished_files += len(osd.vfs.names(osd.incoming_path("")))
        for file in osd.list_shards():
            found.shard_files += 1
            found.dead_shard_files += (osd.id, file.blob, file.index) not in live_files
        for volume in osd.list_volumes():
            found.volumes += 1
            scanned = list(osd.scan_volume(volume.id))
            live = sum(
                RECORD_HEADER + size
                for blob, offset, size in scanned
                if (osd.id, volume.id, blob, offset) in live_records
            )
            appended = sum(RECORD_HEADER + size for _, _, size in scanned)
            found.dead_volumes += not live
            # One that is open has zeros written ahead, which go when it is let go of.
            found.sparse_volumes += 0 < 2 * live < (appended if volume.is_open else volume.size)
