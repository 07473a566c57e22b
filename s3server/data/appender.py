"""Group append: one thread makes all waiting small blobs durable with one write per OSD."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import queue
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import structlog

from s3server.data.osd_set import OsdSet
from s3server.data.threads import HungError, Threads
from s3server.data.volumes import Record, VolumeWriter
from s3server.data.workers import Fanout
from s3server.model import ShardPlace

VOLUME_LIMIT = 256 << 20  # bytes after which a new volume is begun
BATCH_LIMIT = 1024  # blobs
IDLE_S = 60.0  # without a blob, after which the volumes are let go of
HOLD_S = 3600.0  # after which a volume is let go of in any case: compaction takes no open ones

_log = structlog.get_logger("data")

# Where a record lies on an OSD, or why it does not.
Outcome = ShardPlace | OSError


class _Waiting(NamedTuple):
    record: Record
    osds: Sequence[int]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[Outcome]]


class Appender:
    """Appends records to this process's volumes, one on each OSD.

    The queue is as long as there are callers that wait: each has one record in it.
    """

    def __init__(
        self,
        osds: OsdSet,
        new_volume_id: Callable[[], bytes],
        fanout: Fanout,
        *,
        volume_limit: int = VOLUME_LIMIT,
        idle_s: float = IDLE_S,
        hold_s: float = HOLD_S,
    ) -> None:
        self._osds = osds
        self._new_volume_id = new_volume_id
        self._fanout = fanout
        self._volume_limit = volume_limit
        self._idle_s, self._hold_s = idle_s, hold_s
        self._volumes: dict[int, VolumeWriter] = {}
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._threads = Threads(1, name="appender")
        self._serving: Future[None] | None = None
        self._batch: list[_Waiting] = []

    def append(self, record: Record, osds: Sequence[int]) -> asyncio.Future[list[Outcome]]:
        """Return a future of what became of the record on each OSD: a place where it is durable.

        An OSD that did not take it was marked down, or full. The future fails with HungError
        where one did not answer: then it is not known which of the others took it.
        """
        if self._serving is None:
            self._serving = self._threads.submit(self._serve, self._volumes)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Outcome]] = loop.create_future()
        self._queue.put(_Waiting(record, osds, loop, future))
        return future

    def give_up(self, stuck: Collection[int]) -> None:
        """Where the appending thread is among these, go on with another one and new volumes."""
        self._threads.give_up(stuck)
        if self._serving is None or not self._serving.done():
            return
        batch, self._volumes = self._batch, {}
        self._serving = self._threads.submit(self._serve, self._volumes)
        for waiting in batch:
            waiting.loop.call_soon_threadsafe(_resolve, [waiting], HungError())

    def close(self) -> None:
        """Finish what waits, end the thread and let go of the volumes."""
        if self._serving is not None:
            self._queue.put(None)
            self._serving.result()
            self._serving = None
        self._threads.shutdown()
        self._let_go_of(list(self._volumes), self._volumes)

    def _serve(self, volumes: dict[int, VolumeWriter]) -> None:
        """Append what waits, batch after batch, until told to end or given up."""
        while volumes is self._volumes and (first := self._next(volumes)) is not None:
            batch = [first]
            ends = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < BATCH_LIMIT and not ends:
                    following = self._queue.get_nowait()
                    if following is None:
                        ends = True
                    else:
                        batch.append(following)
            self._batch = batch
            self._settle(batch, volumes)
            if ends:
                return

    def _next(self, volumes: dict[int, VolumeWriter]) -> _Waiting | None:
        """Wait for what is to be appended; let go of the volumes where nothing is for a while."""
        try:
            return self._queue.get(timeout=self._idle_s)
        except queue.Empty:
            self._let_go_of(list(volumes), volumes)
            return self._queue.get()

    def _settle(self, batch: list[_Waiting], volumes: dict[int, VolumeWriter]) -> None:
        outcomes: list[list[Outcome]] | Exception
        try:
            outcomes = self._append(batch, volumes)
        except Exception as error:  # a caller must never wait for ever
            outcomes = error
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits
            batch[0].loop.call_soon_threadsafe(_resolve, batch, outcomes)

    def _append(
        self, batch: list[_Waiting], volumes: dict[int, VolumeWriter]
    ) -> list[list[Outcome]]:
        """Append the batch and return for each record what became of it on each of its OSDs."""
        groups = _by_osd(batch)
        failures: dict[int, OSError] = self._open_volumes(groups, volumes)
        places: dict[int, list[ShardPlace]] = {}
        due = [osd for osd in groups if osd not in failures]
        jobs = [(osd, partial(self._append_to, osd, groups[osd], places, volumes)) for osd in due]
        found = zip(due, self._fanout.run(jobs), strict=True)
        failures.update({osd: error for osd, error in found if error})
        for osd, error in failures.items():
            self._osds.failed(osd, error)
        taken = {osd: iter(each) for osd, each in places.items()}
        return [
            [failures[osd] if osd in failures else next(taken[osd]) for osd in waiting.osds]
            for waiting in batch
        ]

    def _open_volumes(
        self, groups: Mapping[int, list[Record]], volumes: dict[int, VolumeWriter]
    ) -> dict[int, OSError]:
        """Open volumes on the OSDs that have none with room; return the errors of those OSDs."""
        oldest_s = time.monotonic() - self._hold_s
        old = [
            osd
            for osd, volume in volumes.items()
            if volume.end >= self._volume_limit or volume.since_s <= oldest_s
        ]
        self._let_go_of(old, volumes)
        due = [osd for osd in groups if osd not in volumes]
        jobs = [(osd, partial(self._open_volume, osd, groups[osd], volumes)) for osd in due]
        found = zip(due, self._fanout.run(jobs), strict=True)
        return {osd: error for osd, error in found if error}

    def _let_go_of(self, osds: Sequence[int], volumes: dict[int, VolumeWriter]) -> None:
        """Append nothing more to the volumes of these OSDs, whatever becomes of sealing them."""
        jobs = [(osd, volumes.pop(osd).seal) for osd in osds]
        for osd, error in zip(osds, self._fanout.run(jobs), strict=True):
            if error:
                self._osds.failed(osd, error)

    def _open_volume(
        self, osd: int, records: list[Record], volumes: dict[int, VolumeWriter]
    ) -> None:
        device = self._osds.device(osd)
        if device.usage().free < sum(record.size for record in records):
            raise OSError(errno.ENOSPC, f"{device.path}: no space left")
        volumes[osd] = VolumeWriter(device, self._new_volume_id())

    def _append_to(
        self,
        osd: int,
        records: list[Record],
        places: dict[int, list[ShardPlace]],
        volumes: dict[int, VolumeWriter],
    ) -> None:
        try:
            offsets = _append(osd, records, volumes)
        except FileNotFoundError as error:  # by hand, or by fsck: the OSD itself is well
            _log.error("volume is lost", osd=osd, reason=str(error))
            self._open_volume(osd, records, volumes)
            offsets = _append(osd, records, volumes)
        places[osd] = [ShardPlace(osd, volumes[osd].id, offset) for offset in offsets]


def _append(osd: int, records: list[Record], volumes: dict[int, VolumeWriter]) -> list[int]:
    volume = volumes.pop(osd)
    try:
        offsets = volume.append(records)
    except OSError:
        volume.discard_if_empty()
        raise  # and the volume is not put back: it is sealed
    volumes[osd] = volume
    return offsets


def _by_osd(batch: Iterable[_Waiting]) -> dict[int, list[Record]]:
    groups: dict[int, list[Record]] = {}
    for waiting in batch:
        for osd in waiting.osds:
            groups.setdefault(osd, []).append(waiting.record)
    return groups


def _resolve(batch: list[_Waiting], outcomes: list[list[Outcome]] | Exception) -> None:
    for number, waiting in enumerate(batch):
        if waiting.future.done():  # its caller was cancelled
            continue
        if isinstance(outcomes, Exception):
            waiting.future.set_exception(outcomes)
        else:
            waiting.future.set_result(outcomes[number])
