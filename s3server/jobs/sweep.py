"""Sweeps OSDs: removes shard files that no blob's row refers to, and unfinished files.

They are what a crash leaves of an upload, an OSD that was away of a deletion, and the collector
where it dies between a commit and freeing the bytes. Shards younger than a lease are left alone:
the commit that refers to them may be under way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import structlog

from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.clock import Clock
from s3server.core.records import BlobRecord, blob_key, decode
from s3server.data.osd_directory import DirectoryOsd, ShardFile
from s3server.meta.base import CorruptRecordError, MetadataStore

SHARDS_PER_STEP = 1_024

_log = structlog.get_logger("jobs")


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step did."""

    shards: int = 0  # removed
    unfinished: int = 0  # files in incoming/ removed
    has_more: bool = False


class Sweep:
    """The sweep of one machine's OSDs: round after round, with `rest_ms` between their beginnings.

    The place in a round is kept in memory only; a new process begins a new round. An OSD that was
    away does not wait for the next one: what was deleted meanwhile is still on it. Unfinished files
    are looked at between rounds too: nobody holds the lock of those that a crash left.
    """

    name = "sweep"
    pause_s = 60.0

    def __init__(
        self,
        meta: MetadataStore,
        osds: Mapping[int, DirectoryOsd],
        *,
        clock: Clock,
        lease_ms: int = 3_600_000,
        incoming_lease_ms: int = 900_000,
        rest_ms: int = 24 * 3_600_000,
        down: Callable[[], Container[int]] = tuple,
    ) -> None:
        """Prepare. `down` returns those of `osds` that are not used at present."""
        if lease_ms < 2 * ADOPT_WITHIN_MS:
            raise ValueError(f"a commit may be under way for longer than {lease_ms} ms")
        self._meta, self._osds, self._clock, self._down = meta, osds, clock, down
        self._lease_ms, self._incoming_lease_ms = lease_ms, incoming_lease_ms
        self._rest_ms, self._next_round_ms = rest_ms, 0
        self._waiting: deque[DirectoryOsd] = deque()
        self._here: Set[int] = frozenset()  # OSDs, at the last look
        self._osd: DirectoryOsd | None = None
        self._walk: Iterator[ShardFile] = iter(())

    async def step(self) -> Swept:
        """Look at the next shard files. Raises OSError for an OSD, which is then left out."""
        if self._osd is None:
            return await self._next_osd()
        osd = self._osd
        try:
            files = await asyncio.to_thread(_take, self._walk)
            removed = await self._sweep(osd, files)
        except OSError:
            self._osd = None
            raise
        if len(files) < SHARDS_PER_STEP:
            self._osd = None
        return Swept(shards=removed, has_more=True)

    async def _next_osd(self) -> Swept:
        """Begin with the next OSD, or a new round when it is time."""
        now = self._clock.now_ms()
        here = {number: osd for number, osd in self._osds.items() if number not in self._down()}
        if self._next_round_ms:  # else a round begins with all of them
            self._waiting.extend(here[number] for number in here.keys() - self._here)
        self._here = here.keys()
        if not self._waiting:
            if 0 < self._next_round_ms - now <= self._rest_ms:  # more: the clock was set back
                return Swept(unfinished=await asyncio.to_thread(self._sweep_incoming, now))
            self._next_round_ms = now + self._rest_ms
            self._waiting.extend(self._osds.values())
            return Swept(has_more=bool(self._waiting))
        self._osd = self._waiting.popleft()
        self._walk = self._osd.list_shards()
        return Swept(has_more=True)

    def _sweep_incoming(self, now: int) -> int:
        removed = 0
        for osd in tuple(self._osds.values()):  # a new map may add to them meanwhile
            with suppress(OSError):  # one that is away is no reason to leave the others as they are
                removed += osd.sweep_incoming(self._incoming_lease_ms / 1000, now / 1000)
        return removed

    async def _sweep(self, osd: DirectoryOsd, files: list[ShardFile]) -> int:
        oldest_ms = self._clock.now_ms() - self._lease_ms
        old = [file for file in files if file.modified_s * 1000 <= oldest_ms]
        rows = await self._meta.get_many([blob_key(file.blob) for file in old])
        removed = 0
        for file, row in zip(old, rows, strict=True):
            if _refers(row, osd, file):
                continue
            # Looked up once more, as others were unlinked since.
            if not _refers(await self._meta.get(blob_key(file.blob)), osd, file):
                removed += await asyncio.to_thread(
                    osd.remove_old_shard, file.blob, file.index, oldest_ms / 1000
                )
        return removed


def _take(walk: Iterator[ShardFile]) -> list[ShardFile]:
    return list(islice(walk, SHARDS_PER_STEP))


def _refers(row: bytes | None, osd: DirectoryOsd, file: ShardFile) -> bool:
    """Tell whether a blob's row says that this shard of it lies in a file on this OSD.

    A row that is damaged may have said so.
    """
    try:
        ref = None if row is None else decode(BlobRecord, row).ref
    except CorruptRecordError as error:
        _log.error("blob row is damaged", blob=file.blob.hex(), reason=str(error))
        return True
    if ref is None or not ref.stripe or file.index >= len(ref.shards):
        return False
    return ref.shards[file.index].osd == osd.id
