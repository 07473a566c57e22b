"""Scrubs: looks at every shard of every blob, before anyone asks for the bytes.

A light scrub looks whether each is there, has its size and says whose it is; a deep one reads and
verifies all of it. What is found becomes a repair row; nothing is changed here. A blob of which too
few shards are whole is listed as lost for the operator, by the repair that fails.

The place in a round is kept in the store. What lies on an OSD that is down is not looked at: once
that is out, the scan finds all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.records import Record, decode, encode, store_key
from s3server.core.repairs import CORRUPT, MISSING, repair_row
from s3server.data.base import DataError, Pool
from s3server.jobs.board import Progress
from s3server.jobs.scan import out_of_place, ref_of
from s3server.jobs.throttle import Throttle
from s3server.meta.base import MetadataStore, Put, Write, after_prefix
from s3server.model import DataRef

ROWS_PER_STEP = 256
BYTES_PER_STEP = 64 << 20
AT_ONCE = 8


class ScrubRecord(Record, frozen=True, array_like=True, kw_only=True):
    """How far a round is, and what it found; of the last one, when it ended."""

    began_ms: int
    ended_ms: int = 0  # 0: it goes on
    after: bytes = b""  # key of the last row that was looked at
    blobs: int = 0
    read_bytes: int = 0  # of shards
    missing: int = 0  # shards
    corrupt: int = 0  # shards
    unreadable: int = 0  # blobs
    last_blobs: int = 0  # of the round before


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What one step did."""

    blobs: int = 0
    bytes: int = 0  # of shards
    missing: int = 0  # shards
    corrupt: int = 0  # shards
    unreadable: int = 0  # blobs
    has_more: bool = False


class Scrub:
    """One of the two scrubs; a round begins `every_ms` after the one before began."""

    pause_s = 60.0

    def __init__(
        self,
        meta: MetadataStore,
        pools: Mapping[str, Pool],
        *,
        clock: Clock,
        deep: bool,
        every_ms: int,
        throttle: Throttle,
    ) -> None:
        self.name = "deep-scrub" if deep else "light-scrub"
        self._meta, self._pools, self._clock = meta, pools, clock
        self._deep, self._every_ms, self._throttle = deep, every_ms, throttle
        self._key = store_key(f"scrub/{self.name}")
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.progress = Progress(unit="blobs")
        self._log = structlog.get_logger("jobs")

    async def step(self) -> Scrubbed:
        """Look at the next blobs; begin a new round when it is time."""
        state, now = await self._state(), self._clock.now_ms()
        if state is None or self._meta.is_full:
            return Scrubbed()
        start = state.after + b"\0" if state.after else records.BLOB
        rows = await self._meta.scan(start, after_prefix(records.BLOB), limit=ROWS_PER_STEP)
        refs: list[tuple[bytes, DataRef | None]] = []
        size = 0
        for key, row in rows:
            if size > BYTES_PER_STEP and self._deep:
                break
            refs.append((key, ref_of(row)))
            size += _stored(refs[-1][1])
        looks = (self._look_at(key, ref) for key, ref in refs if ref is not None)
        found = await asyncio.gather(*looks)
        is_over = len(refs) == len(rows) < ROWS_PER_STEP
        done = Scrubbed(
            blobs=len(refs),
            bytes=size if self._deep else 0,
            missing=sum(each.missing for each, _ in found),
            corrupt=sum(each.corrupt for each, _ in found),
            unreadable=sum(each.unreadable for each, _ in found),
            has_more=not is_over,
        )
        state = replace(
            state,
            after=refs[-1][0] if refs else state.after,
            ended_ms=now if is_over else 0,
            blobs=state.blobs + done.blobs,
            read_bytes=state.read_bytes + done.bytes,
            missing=state.missing + done.missing,
            corrupt=state.corrupt + done.corrupt,
            unreadable=state.unreadable + done.unreadable,
        )
        writes = [write for _, some in found for write in some]
        await self._meta.commit([*writes, Put(self._key, encode(state))])
        self._tell(state)
        await self._throttle.spend(done.bytes)
        return done

    async def _state(self) -> ScrubRecord | None:
        """Return how far this round is, or a new one; None where it is not time for one."""
        row, now = await self._meta.get(self._key), self._clock.now_ms()
        state = None if row is None else decode(ScrubRecord, row)
        if state is None:
            return ScrubRecord(began_ms=now)
        if not state.ended_ms:
            return state
        if 0 <= now - state.began_ms < self._every_ms:  # less than 0: the clock was set back
            return None
        return ScrubRecord(began_ms=now, last_blobs=state.blobs)

    async def _look_at(self, key: bytes, ref: DataRef) -> tuple[Scrubbed, list[Write]]:
        """Return what is wrong with a blob, and the rows that ask for its repair."""
        pool, now = self._pools.get(ref.pool), self._clock.now_ms()
        if pool is None:
            return Scrubbed(), []
        try:
            async with self._gate:
                health = await pool.check(ref, deep=self._deep)
        except DataError as error:  # our own trouble: the next round comes by here again
            self._log.warning("not scrubbed", blob=ref.blob.hex(), reason=str(error))
            return Scrubbed(), []
        standing = pool.standing(ref)
        elsewhere = {*standing.lost, *standing.away}
        bad = {i: s for i, s in enumerate(health.shards) if s != "ok" and i not in elsewhere}
        if not bad:
            wrong = out_of_place(ref, pool, now)
            return Scrubbed(), [] if wrong is None else [wrong[1]]
        row = await self._meta.get(key)
        if row is None or ref_of(row) != ref:  # it was freed or moved while it was looked at
            return Scrubbed(), []
        corrupt = sum(state == "corrupt" for state in bad.values())
        self._log.error("damaged blob", blob=ref.blob.hex(), shards=health.shards)
        reason = CORRUPT if corrupt else MISSING
        due = repair_row(ref, [*bad, *standing.lost], reason, since_ms=now)
        return Scrubbed(
            missing=len(bad) - corrupt, corrupt=corrupt, unreadable=not health.is_readable
        ), [due]

    def _tell(self, state: ScrubRecord) -> None:
        self.progress.done, self.progress.total = state.blobs, max(state.last_blobs, state.blobs)
        self.progress.note = (
            f"{state.missing} shards missing, {state.corrupt} corrupt, "
            f"{state.unreadable} blobs unreadable"
        )


def _stored(ref: DataRef | None) -> int:
    """Return about how many bytes a blob has in all of its shards."""
    if ref is None:
        return 0
    needed = 1 if ref.codec.startswith("replica") else int(ref.codec[3:].partition("+")[0])
    return ref.size * len(ref.shards) // needed
