"""What readers find damaged becomes a repair row: off the hot path, once per blob for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict

import structlog

from s3server.core.clock import Clock
from s3server.core.records import BlobRecord, blob_key, decode
from s3server.core.repairs import repair_row
from s3server.meta.base import CorruptRecordError, MetadataError, MetadataStore, Unchanged
from s3server.model import DataRef

WAITING = 1_024  # blobs; what is found beyond that is found again when it is read again
REMEMBERED = 16_384  # blobs reported lately
FORGET_MS = 600_000

_log = structlog.get_logger("damage")


class Damage:
    """Collects damaged shards from all threads; flush() asks for their repair."""

    def __init__(self, meta: MetadataStore, *, clock: Clock) -> None:
        self._meta, self._clock = meta, clock
        self._lock = threading.Lock()
        self._waiting: dict[bytes, tuple[DataRef, dict[int, str]]] = {}
        self._reported: OrderedDict[bytes, int] = OrderedDict()  # blob: when

    def report(self, ref: DataRef, index: int, reason: str) -> None:
        """Take note of a shard; returns at once. Called from any thread."""
        with self._lock:
            known = self._waiting.get(ref.blob)
            if known is not None:
                known[1][index] = reason
                return
            now_ms = self._clock.now_ms()
            since_ms = self._reported.get(ref.blob)
            is_known = since_ms is not None and abs(now_ms - since_ms) < FORGET_MS
            if is_known or len(self._waiting) >= WAITING:
                return
            self._waiting[ref.blob] = (ref, {index: reason})
            self._reported[ref.blob] = now_ms
            self._reported.move_to_end(ref.blob)
            if len(self._reported) > REMEMBERED:
                self._reported.popitem(last=False)
        _log.error("damaged shard", blob=ref.blob.hex(), shard=index, reason=reason)

    async def flush(self) -> None:
        """Write a repair row for every blob that waits and still lies where it was found."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for ref, shards in waiting.values():
            try:
                await self._ask_for_repair(ref, shards)
            except CorruptRecordError as error:  # where the blob lies now, nobody knows
                _log.error("blob row is damaged", blob=ref.blob.hex(), reason=str(error))
            except MetadataError as error:  # the next reader finds it again
                _log.warning("damage not recorded", blob=ref.blob.hex(), reason=str(error))
                with self._lock:
                    self._reported.pop(ref.blob, None)

    async def _ask_for_repair(self, ref: DataRef, shards: dict[int, str]) -> None:
        key = blob_key(ref.blob)
        row = await self._meta.get(key)
        if row is None or decode(BlobRecord, row).ref != ref:
            return
        reason = ", ".join(sorted(set(shards.values())))
        due = repair_row(ref, shards, reason, since_ms=self._clock.now_ms())
        await self._meta.commit([due], [Unchanged(key, row)])
