"""The cluster as an immutable tree: root / datacenter / rack / host / osd, weights and classes.

Every change returns a new Map with the next epoch. Weights are integers in fixed point 16.16
(65536 is 1.0, by convention 1 TiB); a bucket weighs what its devices weigh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

ONE = 1 << 16
TYPES = ("osd", "host", "rack", "datacenter", "root")  # from the leaf upwards
ROOT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WEIGHT_LIMIT = 1 << 32


class MapError(ValueError):
    """The tree is malformed, or a change names what is not there."""


@dataclass(frozen=True, slots=True)
class Device:
    """One OSD. `weight` says how much it shall hold; `reweight` (0..65536) how much of that now.

    `reweight` 0 is "out": it gets nothing, and its share goes to others by the rule.
    """

    id: int
    weight: int
    device_class: str = "hdd"
    reweight: int = ONE

    def __post_init__(self) -> None:
        if self.id < 0:
            raise MapError(f"osd.{self.id}: device ids start at 0")
        if not 0 <= self.weight < _WEIGHT_LIMIT:
            raise MapError(f"osd.{self.id}: weight {self.weight / ONE:g} is outside 0..65536")
        if not 0 <= self.reweight <= ONE:
            raise MapError(f"osd.{self.id}: reweight {self.reweight / ONE:g} is outside 0..1")
        if not _NAME.fullmatch(self.device_class):
            raise MapError(f"osd.{self.id}: bad device class {self.device_class!r}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """An inner node of the tree. `id` is negative, `items` are ids of devices and buckets."""

    id: int
    type: str
    name: str
    items: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.id >= 0:
            raise MapError(f"{self.name}: bucket ids are negative")
        if self.type not in TYPES[1:]:
            raise MapError(f"{self.name}: unknown type {self.type!r}")
        if not _NAME.fullmatch(self.name):
            raise MapError(f"bad bucket name {self.name!r}")
        if len(set(self.items)) != len(self.items):
            raise MapError(f"{self.name}: an item is listed twice")


@dataclass(frozen=True, slots=True)
class Map:
    """All devices and buckets at one epoch; valid by construction (MapError otherwise)."""

    epoch: int
    devices: tuple[Device, ...]
    buckets: tuple[Bucket, ...]
    device: Mapping[int, Device] = field(init=False, repr=False, compare=False)
    bucket: Mapping[int, Bucket] = field(init=False, repr=False, compare=False)
    parent: Mapping[int, Bucket] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parent = {item: bucket for bucket in self.buckets for item in bucket.items}
        object.__setattr__(self, "device", {device.id: device for device in self.devices})
        object.__setattr__(self, "bucket", {bucket.id: bucket for bucket in self.buckets})
        object.__setattr__(self, "parent", parent)
        self._validate()

    def _validate(self) -> None:
        if self.epoch < 0:
            raise MapError(f"epoch {self.epoch} is negative")
        if len(self.device) != len(self.devices) or len(self.bucket) != len(self.buckets):
            raise MapError("two nodes share an id")
        if len({bucket.name for bucket in self.buckets}) != len(self.buckets):
            raise MapError("two buckets share a name")
        if sum(len(bucket.items) for bucket in self.buckets) != len(self.parent):
            raise MapError("an item has two parents")
        if sum(device.weight for device in self.devices) >= _WEIGHT_LIMIT:
            raise MapError("the weights' sum exceeds 2**32-1 (16.16)")
        for device in self.devices:
            if device.id not in self.parent:
                raise MapError(f"osd.{device.id} is in no bucket")
        for bucket in self.buckets:
            self._validate_bucket(bucket)

    def _validate_bucket(self, bucket: Bucket) -> None:
        if bucket.id not in self.parent and bucket.type != "root":
            raise MapError(f"{bucket.name}: only a root has no parent")
        for item in bucket.items:
            # Types strictly fall from parent to child, so there can be no cycle.
            if TYPES.index(self.type_of(item)) >= TYPES.index(bucket.type):
                raise MapError(f"{bucket.name}: {item} is not of a lower type")

    def type_of(self, item: int) -> str:
        """Return the type of a device or bucket id; MapError if there is none."""
        if item in self.device:
            return TYPES[0]
        if item not in self.bucket:
            raise MapError(f"no node has id {item}")
        return self.bucket[item].type

    def named(self, name: str) -> Bucket:
        """Return the bucket of this name; MapError if there is none."""
        for bucket in self.buckets:
            if bucket.name == name:
                return bucket
        raise MapError(f"no bucket is named {name!r}")

    def path(self, device_id: int) -> tuple[Bucket, ...]:
        """Return the buckets above a device, from the nearest up to its root."""
        found = []
        item = self._known(device_id).id
        while item in self.parent:
            found.append(self.parent[item])
            item = found[-1].id
        return tuple(found)

    def below(self, item: int) -> tuple[Device, ...]:
        """Return the devices in a bucket (or the device itself), in tree order."""
        if item in self.device:
            return (self.device[item],)
        return tuple(device for child in self.bucket[item].items for device in self.below(child))

    def _known(self, device_id: int) -> Device:
        if device_id not in self.device:
            raise MapError(f"no device osd.{device_id}")
        return self.device[device_id]

    def with_device(self, device: Device, location: Mapping[str, str] | None = None) -> Map:
        """Return the next epoch with a device added under e.g. {"rack": "r1", "host": "n3"}.

        Buckets that do not exist yet are made, the root ("default" unless named) too.
        """
        if device.id in self.device:
            raise MapError(f"osd.{device.id} exists")
        names = {"root": ROOT, **(location or {})}
        unknown = set(names) - set(TYPES[1:])
        if unknown:
            raise MapError(f"unknown types in the location: {sorted(unknown)}")
        buckets = {bucket.name: bucket for bucket in self.buckets}
        above: str | None = None
        for type_ in reversed(TYPES[1:]):
            if type_ in names:
                _enter(buckets, above, type_, names[type_])
                above = names[type_]
        assert above is not None
        buckets[above] = _append(buckets[above], device.id)
        return Map(self.epoch + 1, (*self.devices, device), tuple(buckets.values()))

    def without_device(self, device_id: int) -> Map:
        """Return the next epoch without the device; emptied buckets stay, with weight 0."""
        self._known(device_id)
        devices = tuple(device for device in self.devices if device.id != device_id)
        buckets = tuple(
            replace(b, items=tuple(item for item in b.items if item != device_id))
            for b in self.buckets
        )
        return Map(self.epoch + 1, devices, buckets)

    def changed(
        self, device_id: int, *, weight: int | None = None, reweight: int | None = None
    ) -> Map:
        """Return the next epoch with a device's weight or reweight (0 = out) changed."""
        old = self._known(device_id)
        new = replace(
            old,
            weight=old.weight if weight is None else weight,
            reweight=old.reweight if reweight is None else reweight,
        )
        devices = tuple(new if device.id == device_id else device for device in self.devices)
        return replace(self, epoch=self.epoch + 1, devices=devices)


EMPTY = Map(0, (), ())


def _append(bucket: Bucket, item: int) -> Bucket:
    return replace(bucket, items=(*bucket.items, item))


def _enter(buckets: dict[str, Bucket], above: str | None, type_: str, name: str) -> None:
    """Make the bucket `name` below `above`, or check that it is there."""
    here = buckets.get(name)
    if here is None:
        lowest = min((bucket.id for bucket in buckets.values()), default=0)
        buckets[name] = Bucket(lowest - 1, type_, name)
        if above is not None:
            buckets[above] = _append(buckets[above], lowest - 1)
    elif here.type != type_ or (above is not None and here.id not in buckets[above].items):
        raise MapError(f"{name} exists elsewhere in the tree")
