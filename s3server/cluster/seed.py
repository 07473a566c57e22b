"""The settings seed the map: OSDs and pools that it does not know are added to it at a start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import structlog
from msgspec.structs import replace

from placement.cluster_map import ONE, MapError
from s3server.cluster.changes import Change, change
from s3server.cluster.map_record import MAP_KEY, MapRecord, OsdRecord, PoolEntry, osd_key
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.moved import moved
from s3server.config import Config, ConfigError, OsdConfig, PoolConfig
from s3server.core.clock import Clock
from s3server.core.records import encode, store_key
from s3server.data.base import DataError
from s3server.data.osd_directory import DirectoryOsd
from s3server.meta.base import ConflictError, MetadataStore, Put, Unchanged, Write

_CLUSTER = store_key("cluster")
_log = structlog.get_logger("cluster")


async def cluster_id(meta: MetadataStore) -> str:
    """Return the identity of this store, made when it is first asked for."""
    while (row := await meta.get(_CLUSTER)) is None:
        try:
            await meta.commit(
                [Put(_CLUSTER, os.urandom(16).hex().encode())], [Unchanged(_CLUSTER, None)]
            )
        except ConflictError:
            continue
    return row.decode()


async def seed(config: Config, meta: MetadataStore, clock: Clock) -> None:
    """Add what is new in the settings to the map: one new epoch, or none. Repeating it is harmless.

    A new OSD directory gets its identity first, once: an empty directory in the place of a known
    OSD is a disk that is not mounted. Where OSDs moved to other directories the settings are
    believed; whatever else they say of a known OSD or pool the map decides, with a warning.
    """
    cluster = await cluster_id(meta)
    maps = ClusterMaps(meta, clock)
    while True:
        row = await meta.get(MAP_KEY)
        record, known = await maps.current(), await maps.osds()
        fresh = [osd for osd in config.osds if osd.id not in known]
        writes: list[Write] = [
            Put(osd_key(osd.id), encode(make_osd(str(osd.path), cluster, osd.id, clock)))
            for osd in fresh
        ]
        places = {osd.id: str(osd.path) for osd in config.osds}
        writes += [Put(osd_key(i), encode(row)) for i, row in moved(known, places, cluster).items()]
        new = _grown(record, fresh, config.pools, clock)
        if new is not record:
            writes.append(Put(MAP_KEY, encode(new)))
        _warn_of_differences(new, config)
        if not writes:
            return
        try:
            await meta.commit(writes, [Unchanged(MAP_KEY, row)])
        except ConflictError:
            continue
        return


def make_osd(path: str, cluster: str, osd_id: int, clock: Clock) -> OsdRecord:
    """Return the row of an OSD, whose directory is given its identity unless it has it already."""
    return OsdRecord(
        id=osd_id, path=path, uuid=made(path, cluster, osd_id).uuid, added_ms=clock.now_ms()
    )


def made(path: str, cluster: str, osd_id: int, identity: str = "") -> DirectoryOsd:
    """Return the OSD in a directory, which is made one, with this uuid, unless it is already.

    Raises DataError where the directory holds something else.
    """
    with suppress(DataError):
        return DirectoryOsd.open(path, cluster=cluster, osd=osd_id, uuid=identity)
    try:
        return DirectoryOsd.initialise(path, cluster=cluster, osd=osd_id, identity=identity)
    except DataError:
        with suppress(DataError):  # another process has made it just now
            return DirectoryOsd.open(path, cluster=cluster, osd=osd_id, uuid=identity)
        raise


def _grown(
    record: MapRecord, osds: Sequence[OsdConfig], pools: Sequence[PoolConfig], clock: Clock
) -> MapRecord:
    """Return the map with these OSDs, and the pools it lacks; itself where there is nothing new."""
    names = {pool.name for pool in record.pools}
    fresh = [pool for pool in pools if pool.name not in names]
    if not osds and not fresh:
        return record
    try:
        new = change(record, [_addition(osd) for osd in osds], now_ms=clock.now_ms())
    except MapError as error:
        raise ConfigError(f"osds: {error}") from error
    entries = tuple(
        PoolEntry(number, p.name, p.codec, p.across, p.device_class, p.pg_count)
        for number, p in enumerate(fresh, start=len(record.pools))
    )
    made = tuple(f"pool {pool.name} {pool.codec} across {pool.across}" for pool in fresh)
    return replace(new, pools=record.pools + entries, changes=new.changes + made)


def _addition(osd: OsdConfig) -> Change:
    return Change("add", osd.id, round(osd.weight * ONE), osd.device_class, location_of(osd))


def location_of(osd: OsdConfig) -> tuple[tuple[str, str], ...]:
    """Return where an OSD hangs in the tree."""
    return (("datacenter", osd.datacenter), ("rack", osd.rack), ("host", osd.host))


def _warn_of_differences(record: MapRecord, config: Config) -> None:
    """Say which settings do not act, as the map holds something else."""
    tree, entries = record.tree(), {osd.id: osd for osd in record.osds}
    for osd in config.osds:
        if (entry := entries.get(osd.id)) is None:  # removed since, or only staged
            continue
        where = tuple((b.type, b.name) for b in reversed(tree.path(osd.id)) if b.type != "root")
        held = (entry.weight, entry.device_class, where)
        if held != (round(osd.weight * ONE), osd.device_class, location_of(osd)):
            _log.warning("the map says otherwise of an osd than the settings", osd=osd.id)
    pools = {pool.name: pool for pool in record.pools}
    for pool in config.pools:
        entry_ = pools[pool.name]
        wanted = PoolEntry(
            entry_.id, pool.name, pool.codec, pool.across, pool.device_class, pool.pg_count
        )
        if entry_ != wanted:
            _log.warning("the map says otherwise of a pool than the settings", pool=pool.name)
