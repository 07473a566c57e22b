"""The cluster map as it is stored: one row, so that every epoch is seen whole or not at all.

S map          MapRecord: the tree, the state of each OSD, the pools
S map/staged   StagedRecord: changes that wait to be applied
S osd/<id>     OsdRecord: where an OSD is and who it is; the row outlives the OSD's removal, so
               that its number is never given to another
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from placement.choose import Rule, erasure, replicated
from placement.cluster_map import Bucket, Device, Map, MapError
from s3server.core.records import Record, store_key

MAP_KEY, STAGED_KEY, OSD_PREFIX = store_key("map"), store_key("map/staged"), store_key("osd/")

State = Literal["in", "out", "drain"]


class OsdEntry(msgspec.Struct, frozen=True, array_like=True):
    """One OSD of the map: what placement knows of it.

    "out" gives it nothing until it is "in" again: its reweight counts as 0. "drain" is meant to
    end in its removal: its weight counts as 0, so that the removal itself moves nothing.
    """

    id: int
    weight: int  # 16.16
    device_class: str
    reweight: int  # 0..65536
    state: State = "in"
    since_ms: int = 0  # of the state


class NodeEntry(msgspec.Struct, frozen=True, array_like=True):
    """One inner node of the tree. Its id takes part in every draw, so it is stored."""

    id: int
    type: str
    name: str
    items: tuple[int, ...]


class PoolEntry(msgspec.Struct, frozen=True, array_like=True):
    """One pool; `id` takes part in every draw. Neither it nor `pg_count` ever changes."""

    id: int
    name: str
    codec: str  # "replica:3", "ec:4+2"
    across: str
    device_class: str  # "" for any
    pg_count: int

    @property
    def needed(self) -> int:
        """How many shards have to be left for a blob to be readable."""
        kind, _, numbers = self.codec.partition(":")
        return int(numbers.partition("+")[0]) if kind == "ec" else 1

    @property
    def total(self) -> int:
        """How many shards a blob has."""
        return sum(int(number) for number in self.codec.partition(":")[2].split("+"))

    @property
    def rule(self) -> Rule:
        """The placement rule."""
        make = replicated if self.needed == 1 else erasure
        return make(self.total, self.across, device_class=self.device_class or None)


class MapRecord(Record, frozen=True, array_like=True, kw_only=True):
    """The map of one epoch; `changes` says what made it of the one before."""

    epoch: int
    osds: tuple[OsdEntry, ...] = ()
    nodes: tuple[NodeEntry, ...] = ()
    pools: tuple[PoolEntry, ...] = ()
    since_ms: int = 0
    changes: tuple[str, ...] = ()

    def tree(self) -> Map:
        """Return the tree as it stands, states left aside: what changes are made to."""
        devices = tuple(Device(o.id, o.weight, o.device_class, o.reweight) for o in self.osds)
        nodes = tuple(Bucket(node.id, node.type, node.name, node.items) for node in self.nodes)
        return Map(self.epoch, devices, nodes)

    def placed_by(self) -> Map:
        """Return the tree by which shards are placed: with OSDs that are out or drained."""
        tree = self.tree()
        for osd in self.osds:
            if osd.state == "out":
                tree = tree.changed(osd.id, reweight=0)
            elif osd.state == "drain":
                tree = tree.changed(osd.id, weight=0)
        return replace_epoch(tree, self.epoch)

    def with_tree(self, tree: Map) -> MapRecord:
        """Return this map with another tree; the states of OSDs that stay are kept."""
        states = {osd.id: (osd.state, osd.since_ms) for osd in self.osds}
        osds = tuple(
            OsdEntry(d.id, d.weight, d.device_class, d.reweight, *states.get(d.id, ("in", 0)))
            for d in tree.devices
        )
        nodes = tuple(NodeEntry(b.id, b.type, b.name, b.items) for b in tree.buckets)
        return replace(self, osds=osds, nodes=nodes)

    def osd(self, osd_id: int) -> OsdEntry:
        """Return an OSD's entry; MapError where there is none."""
        for osd in self.osds:
            if osd.id == osd_id:
                return osd
        raise MapError(f"osd.{osd_id} is not in the map")


class OsdRecord(Record, frozen=True, array_like=True, kw_only=True):
    """Where an OSD is, and who: its identity file has the same uuid."""

    id: int
    path: str
    uuid: str
    added_ms: int
    is_removed: bool = False


def osd_key(osd_id: int) -> bytes:
    """Return the key of an OSD's row; in the order of numbers."""
    return OSD_PREFIX + f"{osd_id:05}".encode()


def replace_epoch(tree: Map, epoch: int) -> Map:
    """Return the same tree as that of another epoch."""
    return Map(epoch, tree.devices, tree.buckets)
