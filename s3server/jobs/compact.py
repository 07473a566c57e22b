"""Compacts volumes: frees the space of small blobs that are gone.

A record in a volume is live where its blob's row says that a copy lies at exactly this place.
A volume that is less than half live is emptied: its live blobs are appended to today's volumes
and their rows changed; so are small volumes once an OSD has many of them. A volume without a live
record is unlinked in a later round, after readers that found it in a row had time to finish, and
after it was looked through once more.

Nothing is remembered on disk: after a crash at any point a new round finds the same, and copies
that no row came to refer to are dead records like others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import groupby, islice

import structlog
from msgspec import structs

from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.clock import Clock
from s3server.core.commit import Commits, Plan
from s3server.core.records import BlobRecord, blob_key, decode, encode
from s3server.data.base import DataError, Pool
from s3server.data.layout import RECORD_HEADER
from s3server.data.osd_directory import DirectoryOsd, VolumeFile
from s3server.meta.base import CorruptRecordError, MetadataStore, Put, Unchanged
from s3server.model import DataRef, ShardPlace

RECORDS_AT_ONCE = 64  # looked up together; those that move are in memory together
SCAN_BYTES_PER_STEP = 256 << 20  # of volumes looked through; only headers are read
MOVE_BYTES_PER_STEP = 64 << 20  # of blobs written again
SMALL_BYTES = 16 << 20  # a volume below this is small
MERGE_FROM = 16  # small volumes of an OSD: then they become one

_Record = tuple[bytes, int, int]  # blob, offset, size


@dataclass(frozen=True, slots=True)
class Compacted:
    """What one step did."""

    moved: int = 0  # blobs
    moved_bytes: int = 0
    volumes: int = 0  # removed
    freed_bytes: int = 0
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class _Volume:
    """A volume as it was listed; one that was appended to since is another one."""

    osd: int
    file: VolumeFile


class Compact:
    """The compaction of all volumes on one machine's OSDs.

    A volume is looked at once nobody has it open and nothing was appended for `lease_ms`: until
    then a commit that refers to its last records may be under way. Where the clock was ahead then,
    that counts from when it was first seen as it is. One that is not worth it is
    looked at again after `rest_ms`; a dead one goes after `grace_ms`. Small ones of an OSD that are
    worth it are emptied nevertheless when there are MERGE_FROM of them.
    """

    name = "compact"
    pause_s = 60.0

    def __init__(
        self,
        meta: MetadataStore,
        pools: Mapping[str, Pool],
        osds: Mapping[int, DirectoryOsd],
        *,
        clock: Clock,
        lease_ms: int = 3_600_000,
        grace_ms: int = 600_000,
        rest_ms: int = 6 * 3_600_000,
    ) -> None:
        if lease_ms < 2 * ADOPT_WITHIN_MS:
            raise ValueError(f"a commit may be under way for longer than {lease_ms} ms")
        self._meta, self._pools, self._osds, self._clock = meta, pools, osds, clock
        self._lease_ms, self._grace_ms, self._rest_ms = lease_ms, grace_ms, rest_ms
        self._commit = Commits(meta)
        self._queue: deque[_Volume] = deque()
        self._seen: dict[_Volume, int] = {}  # time since which it is as it is, at the latest
        self._not_before: dict[_Volume, int] = {}  # time of the next look
        self._dead: set[_Volume] = set()  # as the last look found them
        self._worthy: set[_Volume] = set()  # that the last look left as they are
        self._merging: set[_Volume] = set()  # to be emptied in this round, whatever is in them
        self._log = structlog.get_logger("jobs")

    async def step(self) -> Compacted:
        """Look at the next volumes; empty or remove those that are worth it."""
        if not self._queue:
            await self._begin_round()
        scanned, total = 0, Compacted()
        while self._queue and scanned < SCAN_BYTES_PER_STEP and not total.has_more:
            volume = self._queue.popleft()
            scanned += volume.file.size
            try:
                total = _sum(total, await self._look_at(volume))
            except (DataError, OSError):  # it cannot be read: that is for scrub and repair
                self._rest(volume)
            if total.has_more:
                self._queue.appendleft(volume)
        return replace(total, has_more=bool(self._queue))

    async def _begin_round(self) -> None:
        """Queue the volumes that are worth a look, and forget those that are not there."""
        now = self._clock.now_ms()
        found: set[_Volume] = set()
        for osd in tuple(self._osds.values()):
            files = await asyncio.to_thread(_list_volumes, osd)
            found.update(_Volume(osd.id, file) for file in files if not file.is_open)
        self._seen = {each: min(self._seen.get(each, now), now) for each in found}
        self._not_before = {
            each: at
            for each, at in self._not_before.items()
            if each in found and at - now <= self._rest_ms  # or the clock was set back
        }
        self._dead &= self._not_before.keys()  # else it is not known for how long they have been so
        sealed = [
            volume
            for volume in sorted(found, key=lambda volume: (volume.osd, volume.file.id))
            if min(volume.file.modified_s * 1000, self._seen[volume]) + self._lease_ms <= now
        ]
        due = {volume for volume in sealed if self._not_before.get(volume, now) <= now}
        self._worthy &= found - due
        self._merging = _to_merge([each for each in sealed if each in due | self._worthy])
        self._queue.extend(each for each in sealed if each in due | self._merging)

    def _rest(self, volume: _Volume) -> None:
        self._not_before[volume] = self._clock.now_ms() + self._rest_ms

    async def _look_at(self, volume: _Volume) -> Compacted:
        """Do what the volume's live bytes ask for; `has_more` where that was only a part."""
        live = 0
        self._worthy.discard(volume)
        async with aclosing(self._live_records(volume)) as found:
            async for records in found:
                live += sum(RECORD_HEADER + size for _, _, size in records)
                if 2 * live >= volume.file.size and volume not in self._merging:
                    self._dead.discard(volume)  # the rest of it need not be read
                    self._worthy.add(volume)
                    self._rest(volume)
                    return Compacted()
        if not live:
            return await self._remove(volume)
        if self._meta.is_full:  # what was moved could not be committed, and would only take space
            self._not_before[volume] = self._clock.now_ms() + self._grace_ms
            return Compacted()
        return await self._empty(volume)

    async def _remove(self, volume: _Volume) -> Compacted:
        """Unlink a volume that an earlier look found dead too; else remember that it is."""
        if volume not in self._dead:
            self._dead.add(volume)
            self._not_before[volume] = self._clock.now_ms() + self._grace_ms
            return Compacted()
        await asyncio.to_thread(self._osds[volume.osd].remove_volume, volume.file.id)
        return Compacted(volumes=1, freed_bytes=volume.file.size)

    async def _empty(self, volume: _Volume) -> Compacted:
        """Move live blobs out of a volume, as many as a step may."""
        self._dead.discard(volume)
        total = Compacted()
        async with aclosing(self._live_records(volume)) as found:
            async for records in found:
                async with asyncio.TaskGroup() as group:
                    moves = [group.create_task(self._move(volume, each)) for each in records]
                total = _sum(total, *(move.result() for move in moves))
                if total.moved_bytes >= MOVE_BYTES_PER_STEP:
                    return replace(total, has_more=True)
        if total.moved:
            self._not_before[volume] = self._clock.now_ms() + self._grace_ms
        else:  # nothing in it can be moved
            self._rest(volume)
        return total

    async def _move(self, volume: _Volume, record: _Record) -> Compacted:
        """Write a live blob again and change its row; nothing where that cannot be done now."""
        blob, offset, size = record
        place = ShardPlace(volume.osd, volume.file.id, offset)
        key = blob_key(blob)
        try:
            ref = _lies_at(await self._meta.get(key), place)
        except CorruptRecordError as error:  # its bytes stay where they are
            self._log.error("blob row is damaged", blob=blob.hex(), reason=str(error))
            return Compacted()
        pool = None if ref is None else self._pools.get(ref.pool)
        if ref is None or pool is None:
            return Compacted()
        try:
            moved = await pool.rewrite(ref)
        except DataError:
            return Compacted()

        async def plan() -> Plan[Compacted]:
            row = await self._meta.get(key)
            if row is None or _lies_at(row, place) is None:  # gone or moved: the copy is dead
                return Plan(result=Compacted())
            changed = encode(structs.replace(decode(BlobRecord, row), ref=moved))
            return Plan(
                result=Compacted(moved=1, moved_bytes=size),
                writes=[Put(key, changed)],
                checks=[Unchanged(key, row)],
            )

        return await self._commit(plan)

    async def _live_records(self, volume: _Volume) -> AsyncGenerator[list[_Record], None]:
        """Yield the records of a volume that rows refer to, a few at a time.

        One whose row is damaged is among them: nobody knows what the row said.
        """
        scan = self._osds[volume.osd].scan_volume(volume.file.id)
        while records := await asyncio.to_thread(_take, scan):
            rows = await self._meta.get_many([blob_key(blob) for blob, _, _ in records])
            yield [
                record
                for record, row in zip(records, rows, strict=True)
                if _may_lie_at(row, ShardPlace(volume.osd, volume.file.id, record[1]))
            ]


def _list_volumes(osd: DirectoryOsd) -> list[VolumeFile]:
    try:
        return list(osd.list_volumes())
    except OSError:  # a disk that cannot be listed must not keep the others from compaction
        return []


def _take(scan: Iterator[_Record]) -> list[_Record]:
    return list(islice(scan, RECORDS_AT_ONCE))


def _lies_at(row: bytes | None, place: ShardPlace) -> DataRef | None:
    """Return where a blob lies, if a copy of it lies at this place."""
    ref = None if row is None else decode(BlobRecord, row).ref
    return ref if ref is not None and place in ref.shards else None


def _may_lie_at(row: bytes | None, place: ShardPlace) -> bool:
    try:
        return _lies_at(row, place) is not None
    except CorruptRecordError:
        return True


def _to_merge(volumes: list[_Volume]) -> set[_Volume]:
    """Return the small ones, which come OSD by OSD, of each OSD that has many."""
    small = (volume for volume in volumes if volume.file.size < SMALL_BYTES)
    groups = [list(group) for _, group in groupby(small, key=lambda volume: volume.osd)]
    return {each for group in groups if len(group) >= MERGE_FROM for each in group}


def _sum(*parts: Compacted) -> Compacted:
    return Compacted(
        moved=sum(part.moved for part in parts),
        moved_bytes=sum(part.moved_bytes for part in parts),
        volumes=sum(part.volumes for part in parts),
        freed_bytes=sum(part.freed_bytes for part in parts),
        has_more=any(part.has_more for part in parts),
    )
