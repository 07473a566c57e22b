"""OSDs come, go, and tell how they are: what the commands of operators do."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from placement.cluster_map import ONE, MapError
from s3server.cluster.blob_table import Held, held
from s3server.cluster.changes import Change, change
from s3server.cluster.live import Cluster
from s3server.cluster.map_record import MapRecord, OsdEntry, OsdRecord, osd_key
from s3server.cluster.maps import OSD_LIMIT, ClusterMaps
from s3server.cluster.osd_watch import down_rows
from s3server.cluster.seed import cluster_id, made
from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.clock import Clock
from s3server.core.records import encode
from s3server.data.base import DataError
from s3server.meta.base import ConflictError, Delete, MetadataStore, Put, Unchanged


@dataclass(frozen=True, slots=True)
class OsdStatus:
    """One OSD: its place in the map, and what is there."""

    id: int
    state: str  # "in", "out", "drain"
    is_here: bool
    reason: str  # why it is not
    host: str
    rack: str
    datacenter: str
    device_class: str
    weight: float
    reweight: float
    path: str
    total: int = 0  # bytes of its file system
    free: int = 0
    used_ratio: float = 0.0  # of what can be used at all
    shards: int = 0  # that blobs refer to
    data: int = 0  # bytes of them


class OsdKeeper:
    """Adds and removes OSDs of one store. Raises MapError for what cannot be done."""

    def __init__(self, meta: MetadataStore, maps: ClusterMaps, clock: Clock) -> None:
        self._meta, self._maps, self._clock = meta, maps, clock

    async def add(
        self,
        path: str,
        weight: int,
        device_class: str,
        location: tuple[tuple[str, str], ...],
    ) -> Change:
        """Make an OSD of a directory, with a number that no OSD had, and stage that it is used.

        `path` is absolute. What an earlier attempt left is taken up. Raises DataError where the
        directory holds something else.
        """
        while True:
            known, record = await self._maps.osds(), await self._maps.current()
            staged = await self._maps.staged()
            used = {osd.id for osd in record.osds} | {each.osd for each in staged}
            mine = [o.id for o in known.values() if o.path == path and not o.is_removed]
            if taken := used.intersection(mine):
                raise MapError(f"{path} is osd.{min(taken)} already")
            number = mine[0] if mine else max([*known, *used], default=-1) + 1
            if number >= OSD_LIMIT:
                raise MapError(f"there were {OSD_LIMIT} OSDs; no number is left")
            addition = Change("add", number, weight, device_class, location)
            change(record, [*staged, addition], now_ms=0)  # or MapError, before a byte is written
            osd = known.get(number) or OsdRecord(
                id=number, path=path, uuid=str(uuid4()), added_ms=self._clock.now_ms()
            )
            key, row = osd_key(number), encode(osd)
            if not mine:
                try:  # the number is ours before the directory says that it is
                    await self._meta.commit([Put(key, row)], [Unchanged(key, None)])
                except ConflictError:
                    continue
            try:
                made(path, await cluster_id(self._meta), number, osd.uuid)
            except (DataError, OSError):
                if not mine:
                    await self._meta.commit([Delete(key)], [Unchanged(key, row)])
                raise
            await self._maps.stage(addition)
            return addition

    async def apply(self, epoch: int) -> MapRecord:
        """Apply what is staged; an OSD that is to be removed must hold nothing."""
        for each in await self._maps.staged():
            if each.kind == "remove":
                await self.check_removable(each.osd)
        return await self._maps.apply(epoch)

    async def check_removable(self, osd_id: int) -> None:
        """Raise MapError unless an OSD is away from placement, for long enough, and empty."""
        entry = (await self._maps.current()).osd(osd_id)
        if entry.state == "in":
            raise MapError(f"osd.{osd_id} is in use: drain it first")
        waited_ms = self._clock.now_ms() - entry.since_ms
        if waited_ms < ADOPT_WITHIN_MS:
            left_s = (ADOPT_WITHIN_MS - waited_ms) // 1000 + 1
            raise MapError(
                f"osd.{osd_id} has just left placement: uploads that began before may still end "
                f"on it; try again in {left_s} s"
            )
        found = await held(self._meta)
        shards, size = found.on(osd_id)
        if shards:
            raise MapError(f"osd.{osd_id} holds {shards} shards of {size} bytes")
        if found.damaged:
            raise MapError(
                f"osd.{osd_id} may hold shards of {found.damaged} blobs whose rows are damaged; "
                "`s3server meta verify` names them"
            )

    async def status(self, cluster: Cluster, *, count_data: bool) -> list[OsdStatus]:
        """Return how all OSDs of the map are; what they hold by a walk over the blob table."""
        record, known = await self._maps.current(), await self._maps.osds()
        found, tree = await held(self._meta) if count_data else Held({}, 0), record.tree()
        down = {each.record.osd: each.record.reason for each in await down_rows(self._meta)}
        down |= cluster.missing
        return [
            _status(
                entry,
                {bucket.type: bucket.name for bucket in tree.path(entry.id)},
                known[entry.id].path,
                cluster,
                reason=down.get(entry.id, ""),
                held=found.on(entry.id),
            )
            for entry in record.osds
        ]


def _status(
    entry: OsdEntry,
    above: dict[str, str],
    path: str,
    cluster: Cluster,
    *,
    reason: str,
    held: tuple[int, int],
) -> OsdStatus:
    total, free, ratio = 0, 0, 0.0
    osd = cluster.osds.get(entry.id)
    if osd is not None and not reason:  # one that is down may not answer
        try:
            usage = osd.usage()
            total, free, ratio = usage.total, usage.free, usage.used_ratio
        except OSError as error:
            reason = str(error)
    return OsdStatus(
        entry.id,
        entry.state,
        not reason,
        reason,
        above.get("host", ""),
        above.get("rack", ""),
        above.get("datacenter", ""),
        entry.device_class,
        entry.weight / ONE,
        entry.reweight / ONE,
        path,
        total,
        free,
        ratio,
        *held,
    )
