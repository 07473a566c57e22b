"""From the settings to pools: identities of the OSDs, the map, and what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from placement.choose import erasure, replicated
from placement.cluster_map import EMPTY, ONE, Device, Map
from placement.groups import Table, pg_of, table
from s3server.config import Config, OsdConfig, PoolConfig
from s3server.core.clock import Ids, SystemClock
from s3server.core.records import store_key
from s3server.data.base import DataError, UnavailableError
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.meta.base import ConflictError, MetadataStore, Put, Unchanged
from s3server.model import DataRef

_CLUSTER = store_key("cluster")
_log = structlog.get_logger("cluster")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The OSDs that are here, those that are not and why, and the pools on them."""

    osds: Mapping[int, DirectoryOsd]
    missing: Mapping[int, str]
    pools: Mapping[str, PlacedPool]


async def cluster_id(meta: MetadataStore) -> str:
    """Return the identity of this store, made when it is first asked for."""
    while (row := await meta.get(_CLUSTER)) is None:
        try:
            await meta.commit([Put(_CLUSTER, os.urandom(16).hex().encode())], [_absent(_CLUSTER)])
        except ConflictError:
            continue
    return row.decode()


async def initialise_osds(config: Config, meta: MetadataStore) -> None:
    """Give every new OSD directory its identity, once.

    An OSD that had one is never initialised again: an empty directory in its place is a disk
    that is not mounted.
    """
    cluster = await cluster_id(meta)
    for osd in config.osds:
        known = store_key(f"osd/{osd.id}")
        if await meta.get(known) is not None:
            continue
        try:
            DirectoryOsd.open(str(osd.path), cluster=cluster, osd=osd.id)
        except DataError:
            DirectoryOsd.initialise(str(osd.path), cluster=cluster, osd=osd.id)
        await meta.commit([Put(known, str(osd.path).encode())])


async def open_cluster(config: Config, meta: MetadataStore) -> Cluster:
    """Open every OSD that is here, and the pools on them.

    A missing OSD keeps nothing from starting: what it holds is read from others, and what is
    written goes to others where the rule finds enough of them.
    """
    cluster = await cluster_id(meta)
    osds: dict[int, DirectoryOsd] = {}
    missing: dict[int, str] = {}
    for osd in config.osds:
        try:
            osds[osd.id] = DirectoryOsd.open(str(osd.path), cluster=cluster, osd=osd.id)
        except (DataError, OSError) as error:
            missing[osd.id] = str(error)
            _log.error("osd is missing", osd=osd.id, reason=str(error))
    tree = _tree(config.osds)
    for osd_id in missing:
        tree = tree.changed(osd_id, reweight=0)
    pools = {
        pool.name: _open_pool(pool, number, tree, osds, config)
        for number, pool in enumerate(config.pools)
    }
    return Cluster(osds, missing, pools)


def _tree(osds: Sequence[OsdConfig]) -> Map:
    tree = EMPTY
    for osd in osds:
        device = Device(osd.id, round(osd.weight * ONE), osd.device_class)
        location = {"datacenter": osd.datacenter, "rack": osd.rack, "host": osd.host}
        tree = tree.with_device(device, location)
    return tree


def _open_pool(
    pool: PoolConfig, number: int, tree: Map, osds: Mapping[int, DirectoryOsd], config: Config
) -> PlacedPool:
    codec = codec_from_name(pool.codec)
    make_rule = replicated if codec.needed == 1 else erasure
    rule = make_rule(codec.total, pool.across, device_class=pool.device_class or None)
    groups = table(tree, rule, pool.pg_count, pool_id=number)
    return PlacedPool(
        pool.name,
        codec,
        osds,
        _chooser(groups, codec.total),
        Ids(SystemClock()).blob_id,
        small_limit=config.storage.small_limit_kib * 1024,
        on_damage=_report_damage,
    )


def _chooser(groups: Table, total: int) -> Callable[[bytes], Sequence[int]]:
    whole = [
        tuple(osd for osd in group if osd is not None) if None not in group else ()
        for group in groups
    ]

    def choose(blob: bytes) -> Sequence[int]:
        group = whole[pg_of(blob, len(whole))]
        if len(group) < total:
            raise UnavailableError(f"the rule finds fewer than {total} devices")
        return group

    return choose


def _report_damage(ref: DataRef, index: int, reason: str) -> None:
    _log.error("damaged shard", blob=ref.blob.hex(), shard=index, reason=reason)


def _absent(key: bytes) -> Unchanged:
    return Unchanged(key, None)
