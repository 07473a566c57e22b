"""The stored map: read, staged, applied. Every epoch is one commit, so nothing is applied twice."""

from __future__ import annotations

from collections.abc import Sequence

from placement.cluster_map import MapError
from s3server.cluster.changes import Change, StagedRecord, change
from s3server.cluster.map_record import (
    MAP_KEY,
    OSD_PREFIX,
    STAGED_KEY,
    MapRecord,
    OsdRecord,
    osd_key,
)
from s3server.core.clock import Clock
from s3server.core.records import decode, encode
from s3server.meta.base import (
    Check,
    ConflictError,
    Delete,
    MetadataStore,
    Put,
    Unchanged,
    Write,
    after_prefix,
)

OSD_LIMIT = 65_536


class ClusterMaps:
    """The map of one store. Calls raise MapError where a change cannot be made."""

    def __init__(self, meta: MetadataStore, clock: Clock) -> None:
        self._meta, self._clock = meta, clock

    async def current(self) -> MapRecord:
        """Return the map in force; epoch 0 where none was stored yet."""
        return (await self._current())[0]

    async def staged(self) -> tuple[Change, ...]:
        """Return the changes that wait to be applied."""
        return (await self._staged())[0]

    async def osds(self) -> dict[int, OsdRecord]:
        """Return the rows of all OSDs there ever were, by their numbers."""
        rows = await self._meta.scan(OSD_PREFIX, after_prefix(OSD_PREFIX), limit=OSD_LIMIT)
        found = [decode(OsdRecord, row) for _, row in rows]
        return {osd.id: osd for osd in found}

    async def preview(self) -> MapRecord:
        """Return what the staged changes would make of the map in force."""
        return change(await self.current(), await self.staged(), now_ms=self._clock.now_ms())

    async def stage(self, *changes: Change) -> None:
        """Let changes wait, behind those that wait already; all together must be possible."""
        while True:
            waiting, row = await self._staged()
            record, map_row = await self._current()
            together = (*waiting, *changes)
            change(record, together, now_ms=0)
            try:
                await self._meta.commit(
                    [Put(STAGED_KEY, encode(StagedRecord(changes=together)))],
                    [Unchanged(STAGED_KEY, row), Unchanged(MAP_KEY, map_row)],
                )
            except ConflictError:
                continue
            return

    async def revert(self) -> tuple[Change, ...]:
        """Forget what is staged, and return it."""
        while True:
            waiting, row = await self._staged()
            try:
                await self._meta.commit([Delete(STAGED_KEY)], [Unchanged(STAGED_KEY, row)])
            except ConflictError:
                continue
            return waiting

    async def apply(self, epoch: int) -> MapRecord:
        """Put what is staged into force as the map of `epoch`, the one after today's.

        MapError where nothing is staged or `epoch` is another one: the map changed since it was
        looked at, or this was applied already.
        """
        while True:
            waiting, row = await self._staged()
            record, map_row = await self._current()
            if not waiting:
                raise MapError(f"nothing is staged; the map is of epoch {record.epoch}")
            if epoch != record.epoch + 1:
                raise MapError(
                    f"the next epoch is {record.epoch + 1}, not {epoch}: look at the difference "
                    "again"
                )
            new = change(record, waiting, now_ms=self._clock.now_ms())
            try:
                await self._commit(new, waiting, [Delete(STAGED_KEY)], _checks(row, map_row))
            except ConflictError:
                continue
            return new

    async def change(self, *changes: Change) -> MapRecord:
        """Make changes at once, as the next epoch; what is staged stays staged."""
        while True:
            record, map_row = await self._current()
            new = change(record, changes, now_ms=self._clock.now_ms())
            try:
                await self._commit(new, changes, [], [Unchanged(MAP_KEY, map_row)])
            except ConflictError:
                continue
            return new

    async def _commit(
        self,
        record: MapRecord,
        changes: Sequence[Change],
        writes: Sequence[Write],
        checks: Sequence[Check],
    ) -> None:
        """Store a map; OSDs that it removes are gone for good."""
        removed: list[Write] = []
        for each in changes:
            row = await self._meta.get(osd_key(each.osd)) if each.kind == "remove" else None
            if row is not None:
                gone = decode(OsdRecord, row)
                removed.append(Put(osd_key(gone.id), encode(_removed(gone))))
        await self._meta.commit([Put(MAP_KEY, encode(record)), *removed, *writes], checks)

    async def _current(self) -> tuple[MapRecord, bytes | None]:
        row = await self._meta.get(MAP_KEY)
        return (MapRecord(epoch=0), None) if row is None else (decode(MapRecord, row), row)

    async def _staged(self) -> tuple[tuple[Change, ...], bytes | None]:
        row = await self._meta.get(STAGED_KEY)
        return ((), None) if row is None else (decode(StagedRecord, row).changes, row)


def _removed(osd: OsdRecord) -> OsdRecord:
    return OsdRecord(
        id=osd.id, path=osd.path, uuid=osd.uuid, added_ms=osd.added_ms, is_removed=True
    )


def _checks(staged_row: bytes | None, map_row: bytes | None) -> list[Check]:
    return [Unchanged(STAGED_KEY, staged_row), Unchanged(MAP_KEY, map_row)]
