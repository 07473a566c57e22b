"""The map in force as one process uses it: open OSDs and pools, kept up to date while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from placement.choose import Rule
from placement.cluster_map import Map
from placement.placer import Placer
from s3server.cluster.damage import Damage
from s3server.cluster.map_record import MAP_KEY, MapRecord, OsdRecord, PoolEntry
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.osd_watch import NEARFULL_RATIO, OsdWatch
from s3server.cluster.seed import cluster_id
from s3server.core.clock import Ids, SystemClock
from s3server.core.records import decode
from s3server.data.base import DataError
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import FULL_RATIO, OsdSet
from s3server.data.placed import PlacedPool
from s3server.meta.base import MetadataStore

LOOK_S = 1.0  # between looks for a new epoch

_log = structlog.get_logger("cluster")


@dataclass(slots=True)
class Cluster:
    """The OSDs, those that are here and those that are down, and the pools on them.

    The mappings `osds` and `pools` are the same for as long as the process lives.
    """

    osd_set: OsdSet
    pools: dict[str, PlacedPool]
    map: MapRecord = field(default_factory=lambda: MapRecord(epoch=0))

    @property
    def osds(self) -> Mapping[int, DirectoryOsd]:
        """Those that are here."""
        return self.osd_set.open

    @property
    def missing(self) -> Mapping[int, str]:
        """Those that are not here, and why."""
        here = self.osd_set.open
        return {osd: reason for osd, reason in self.osd_set.down.items() if osd not in here}


class ClusterWatch:
    """Keeps a Cluster as the stored map says, without disturbing what is under way.

    A pool is made once. A new epoch changes by which map it places what is written from then on;
    reading never depends on the map.
    """

    def __init__(
        self,
        meta: MetadataStore,
        identity: str,
        *,
        small_limit: int,
        full_ratio: float = FULL_RATIO,
        nearfull_ratio: float = NEARFULL_RATIO,
    ) -> None:
        self._meta, self._identity, self._small_limit = meta, identity, small_limit
        self._maps = ClusterMaps(meta, SystemClock())
        self._row: bytes | None = None
        self._placements: dict[str, Placement] = {}
        clock = SystemClock()
        self.cluster = Cluster(OsdSet({}, full_ratio=full_ratio), {})
        self._damage = Damage(meta, clock=clock)
        self._osds = OsdWatch(
            meta, self.cluster.osd_set, self.reopen, clock=clock, nearfull_ratio=nearfull_ratio
        )

    async def refresh(self) -> bool:
        """Follow the map if there is a new one; tell whether there was."""
        row = await self._meta.get(MAP_KEY)
        if row is None or row == self._row:
            return False
        record = decode(MapRecord, row)
        await self._follow_osds(record)
        tree = record.placed_by()
        for pool in record.pools:
            self._place(pool, tree)
        if self._row is not None:
            _log.info("new map", epoch=record.epoch, changes=record.changes)
        self._row, self.cluster.map = row, record
        return True

    async def run(self) -> None:
        """Look every second for a new epoch, at the OSDs and for damage, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for look in (self.refresh, self.look):
                try:
                    await look()
                except Exception:  # what is known goes on being served; the next may succeed
                    _log.exception("the cluster cannot be followed")

    async def look(self) -> None:
        """Exchange the state of the OSDs with other processes; ask for repair of damage."""
        if stuck := self.cluster.osd_set.stuck():
            for pool in self.cluster.pools.values():
                pool.give_up(stuck)
        await self._osds.look()
        await self._damage.flush()

    async def reopen(self, osd_id: int) -> None:
        """Open an OSD that was missing, if it is there now."""
        osd = (await self._maps.osds()).get(osd_id)
        if osd is not None:
            await asyncio.to_thread(self._open, osd)

    async def close(self) -> None:
        """Close the pools."""
        for pool in self.cluster.pools.values():
            await pool.close()

    async def _follow_osds(self, record: MapRecord) -> None:
        """Open OSDs that are new, let go of those that were removed."""
        osds, rows = self.cluster.osd_set, await self._maps.osds()
        wanted = {osd.id: rows[osd.id] for osd in record.osds if osd.id in rows}
        for osd_id in {*osds.open, *osds.down}.difference(wanted):
            osds.remove(osd_id)
        for osd in wanted.values():
            if osd.id not in osds.open:
                await asyncio.to_thread(self._open, osd)

    def _open(self, osd: OsdRecord) -> None:
        """Open an OSD. One that is missing is down, and keeps nothing from being served."""
        osds = self.cluster.osd_set
        try:
            found = DirectoryOsd.open(osd.path, cluster=self._identity, osd=osd.id, uuid=osd.uuid)
        except (DataError, OSError) as error:
            osds.mark_down(osd.id, str(error))
        else:
            osds.add(found)

    def _place(self, pool: PoolEntry, tree: Map) -> None:
        placement = self._placements.setdefault(pool.name, Placement())
        placement.follow(tree, pool.rule, pool.pg_count, pool.id)
        if pool.name not in self.cluster.pools:
            self.cluster.pools[pool.name] = PlacedPool(
                pool.name,
                codec_from_name(pool.codec),
                self.cluster.osd_set,
                placement,
                Ids(SystemClock()).blob_id,
                small_limit=self._small_limit,
                on_damage=self._damage.report,
                catch_up=self._osds.catch_up,
            )


class Placement:
    """What a pool asks for the OSDs of a blob: the map may change between two questions."""

    _now: Placer

    def follow(self, tree: Map, rule: Rule, pg_count: int, pool_id: int) -> None:
        """Place by this map from now on."""
        self._now = Placer(tree, rule, pg_count, pool_id=pool_id)  # other threads may be asking

    def __call__(self, blob: bytes, avoid: frozenset[int]) -> Sequence[int | None]:
        """Return the OSD of each shard; None where the rule finds none but those to avoid."""
        return self._now.devices(blob, avoid)


async def watch_cluster(
    meta: MetadataStore,
    *,
    small_limit: int,
    full_ratio: float = FULL_RATIO,
    nearfull_ratio: float = NEARFULL_RATIO,
) -> ClusterWatch:
    """Open every OSD of the map that is here, and the pools on them."""
    watch = ClusterWatch(
        meta,
        await cluster_id(meta),
        small_limit=small_limit,
        full_ratio=full_ratio,
        nearfull_ratio=nearfull_ratio,
    )
    await watch.refresh()
    return watch
