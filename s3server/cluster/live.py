"""The map in force as one process uses it: open OSDs and pools, kept up to date while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from placement.choose import Chooser, Rule
from placement.cluster_map import Map
from placement.groups import pg_of
from placement.hashing import hash2
from s3server.cluster.map_record import MAP_KEY, MapRecord, OsdRecord, PoolEntry
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.seed import cluster_id
from s3server.core.clock import Ids, SystemClock
from s3server.core.records import decode
from s3server.data.base import DataError, UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.meta.base import MetadataStore
from s3server.model import DataRef

LOOK_S = 1.0  # between looks for a new epoch

_log = structlog.get_logger("cluster")


@dataclass(slots=True)
class Cluster:
    """The OSDs that are here, those that are not and why, and the pools on them.

    The mappings are the same for as long as the process lives and are changed in place.
    """

    osds: dict[int, DirectoryOsd]
    missing: dict[int, str]
    pools: dict[str, PlacedPool]
    map: MapRecord = field(default_factory=lambda: MapRecord(epoch=0))


class ClusterWatch:
    """Keeps a Cluster as the stored map says, without disturbing what is under way.

    A pool is made once. A new epoch changes by which map it places what is written from then on;
    reading never depends on the map.
    """

    def __init__(self, meta: MetadataStore, identity: str, *, small_limit: int) -> None:
        self._meta, self._identity, self._small_limit = meta, identity, small_limit
        self._maps = ClusterMaps(meta, SystemClock())
        self._row: bytes | None = None
        self._placements: dict[str, Placement] = {}
        self.cluster = Cluster({}, {}, {})

    async def refresh(self) -> bool:
        """Follow the map if there is a new one; tell whether there was."""
        row = await self._meta.get(MAP_KEY)
        if row is None or row == self._row:
            return False
        record = decode(MapRecord, row)
        await self._follow_osds(record)
        tree = record.placed_by()
        for osd_id in self.cluster.missing:
            tree = tree.changed(osd_id, reweight=0)
        for pool in record.pools:
            self._place(pool, tree)
        self._row, self.cluster.map = row, record
        _log.info("map", epoch=record.epoch, osds=len(record.osds))
        return True

    async def run(self) -> None:
        """Look for a new epoch every second until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.refresh()
            except Exception:  # what is known goes on being served, and the next look may succeed
                _log.exception("the map cannot be followed")

    async def close(self) -> None:
        """Close the pools."""
        for pool in self.cluster.pools.values():
            await pool.close()

    async def _follow_osds(self, record: MapRecord) -> None:
        """Open OSDs that are new, let go of those that were removed."""
        cluster, rows = self.cluster, await self._maps.osds()
        wanted = {osd.id: rows[osd.id] for osd in record.osds if osd.id in rows}
        for osd_id in [*cluster.osds, *cluster.missing]:
            if osd_id not in wanted:
                cluster.osds.pop(osd_id, None)
                cluster.missing.pop(osd_id, None)
        for osd in wanted.values():
            if osd.id not in cluster.osds:
                await asyncio.to_thread(self._open, osd)

    def _open(self, osd: OsdRecord) -> None:
        """Open an OSD. One that is missing keeps nothing from being served."""
        cluster = self.cluster
        try:
            found = DirectoryOsd.open(osd.path, cluster=self._identity, osd=osd.id, uuid=osd.uuid)
        except (DataError, OSError) as error:
            cluster.missing[osd.id] = str(error)
            _log.error("osd is missing", osd=osd.id, reason=str(error))
        else:
            cluster.osds[osd.id] = found
            cluster.missing.pop(osd.id, None)

    def _place(self, pool: PoolEntry, tree: Map) -> None:
        placement = self._placements.setdefault(pool.name, Placement())
        placement.follow(tree, pool.rule, pool.pg_count, pool.id)
        if pool.name not in self.cluster.pools:
            self.cluster.pools[pool.name] = PlacedPool(
                pool.name,
                codec_from_name(pool.codec),
                self.cluster.osds,
                placement,
                Ids(SystemClock()).blob_id,
                small_limit=self._small_limit,
                on_damage=_report_damage,
            )


class Placement:
    """What a pool asks for the OSDs of a blob: the map may change between two questions."""

    def follow(self, tree: Map, rule: Rule, pg_count: int, pool_id: int) -> None:
        """Place by this map from now on."""
        # One assignment, as other threads may be asking.
        self._now = (Chooser(tree, rule), rule.copies, pg_count, pool_id, {})

    _now: tuple[Chooser, int, int, int, dict[int, Sequence[int]]]

    def __call__(self, blob: bytes) -> Sequence[int]:
        """Return the OSD of each shard. UnavailableError where the rule does not find all."""
        chooser, total, pg_count, pool_id, found = self._now
        group = pg_of(blob, pg_count)
        if group not in found:
            chosen = chooser.choose(hash2(group, pool_id))
            found[group] = tuple(osd for osd in chosen if osd is not None)
        if len(found[group]) < total:
            raise UnavailableError(f"the rule finds fewer than {total} devices")
        return found[group]


async def watch_cluster(meta: MetadataStore, *, small_limit: int) -> ClusterWatch:
    """Open every OSD of the map that is here, and the pools on them."""
    watch = ClusterWatch(meta, await cluster_id(meta), small_limit=small_limit)
    await watch.refresh()
    return watch


def _report_damage(ref: DataRef, index: int, reason: str) -> None:
    _log.error("damaged shard", blob=ref.blob.hex(), shard=index, reason=reason)
