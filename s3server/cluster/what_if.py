"""What a change of the map, or a failure, would do to the objects there are. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from placement.cluster_map import MapError
from placement.placer import Placer
from s3server.cluster.blob_table import blobs, rows, shard_bytes
from s3server.cluster.map_record import MapRecord
from s3server.core import records
from s3server.core.records import BlobRecord, ObjectRecord
from s3server.data.codec import codec_from_name
from s3server.data.repair import shards_to_write
from s3server.meta.base import MetadataStore
from s3server.model import ABSENT, DataRef

State = Literal["safe", "degraded", "unreadable"]


@dataclass(slots=True)
class Effect:
    """How many versions of objects are in which state at once, and what is to be written then."""

    safe: int = 0
    degraded: int = 0  # readable, but with fewer shards than the codec makes
    unreadable: int = 0
    move_shards: int = 0  # to be written until all is where the map says
    move_bytes: int = 0
    homeless_shards: int = 0  # for which the rule finds no OSD
    damaged: int = 0  # rows of blobs and versions of which nothing can be said


def devices_named(record: MapRecord, name: str) -> frozenset[int]:
    """Return the OSDs that "osd.3", or a host, rack or datacenter's name, stands for."""
    tree = record.tree()
    if name.startswith("osd.") and name[4:].isdecimal():
        return frozenset({record.osd(int(name[4:])).id})
    if name not in {bucket.name for bucket in tree.buckets}:
        raise MapError(f"no OSD, host, rack or datacenter is named {name}")
    found = tree.below(tree.named(name).id)
    if not found:
        raise MapError(f"{name} holds no OSD")
    return frozenset(device.id for device in found)


async def what_if(meta: MetadataStore, after: MapRecord, failed: Collection[int] = ()) -> Effect:
    """Return what would become of all objects under this map, if OSDs of it failed for good."""
    effect = Effect()
    usable = {osd.id for osd in after.osds} - set(failed)
    targets = _Targets(after, frozenset(failed))
    worse: dict[bytes, State] = {}  # blobs that are not safe
    async for blob, record in blobs(meta):
        if record is None:
            effect.damaged += 1
            worse[blob] = "unreadable"
        elif record.ref is not None:
            state = _state(record.ref, usable)
            if state != "safe":
                worse[blob] = state
            _add_moves(effect, record.ref, usable, targets)
    async for blob, record in blobs(meta):
        if record and record.parts and (state := _worst(record, worse)) != "safe":
            worse[blob] = state
    await _count_versions(meta, worse, effect)
    return effect


async def _count_versions(
    meta: MetadataStore, worse: Mapping[bytes, State], effect: Effect
) -> None:
    for table in (records.OBJECT, records.VERSION):
        async for _, version in rows(meta, table, ObjectRecord):
            if version is None:
                effect.damaged += 1
            elif not version.is_delete_marker:
                state = worse.get(version.blob, "safe")
                setattr(effect, state, getattr(effect, state) + 1)


class _Targets:
    """Where blobs go by a map."""

    def __init__(self, record: MapRecord, avoid: frozenset[int]) -> None:
        tree = record.placed_by()
        self._avoid = avoid
        self._pools = {
            pool.name: (Placer(tree, pool.rule, pool.pg_count, pool_id=pool.id), pool.needed)
            for pool in record.pools
        }

    def of(self, ref: DataRef) -> list[int]:
        """Return the OSD of each shard, ABSENT where there is none; nothing for unknown pools."""
        if ref.pool not in self._pools:
            return []
        placer, _ = self._pools[ref.pool]
        found = [ABSENT if osd is None else osd for osd in placer.devices(ref.blob, self._avoid)]
        if ref.stripe:
            return found
        count = len(ref.shards)  # a small blob's copies take any of the places
        chosen = [osd for osd in found if osd != ABSENT][:count]
        return [*chosen, *[ABSENT] * (count - len(chosen))]


def _state(ref: DataRef, usable: Collection[int]) -> State:
    left = sum(place.osd in usable for place in ref.shards)
    if left < codec_from_name(ref.codec).needed:
        return "unreadable"
    return "safe" if left == len(ref.shards) else "degraded"


def _worst(record: BlobRecord, worse: dict[bytes, State]) -> State:
    states = {worse.get(part.blob, "safe") for part in record.parts}
    return next(each for each in ("unreadable", "degraded", "safe") if each in states)


def _add_moves(effect: Effect, ref: DataRef, usable: Collection[int], targets: _Targets) -> None:
    is_whole = [place.osd in usable for place in ref.shards]
    needed = codec_from_name(ref.codec).needed
    if sum(is_whole) < needed:
        return
    wanted = targets.of(ref)
    effect.homeless_shards += wanted.count(ABSENT)
    due = shards_to_write(ref.shards, is_whole, wanted, are_copies=needed == 1)
    effect.move_shards += len(due)
    effect.move_bytes += len(due) * shard_bytes(ref)
