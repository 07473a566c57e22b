"""Changes of the map, as values: said in words, staged, tried out, applied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from placement.cluster_map import ONE, Device, MapError
from s3server.cluster.map_record import MapRecord, State
from s3server.core.records import Record

Kind = Literal["add", "remove", "weight", "reweight", "in", "out", "drain"]


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One change of one OSD."""

    kind: Kind
    osd: int
    value: int = ONE  # of "add" and "weight": the weight; of "reweight": the reweight; 16.16
    device_class: str = "hdd"  # of "add"
    location: tuple[tuple[str, str], ...] = ()  # of "add": (type, name), e.g. ("host", "n1")

    def __str__(self) -> str:
        name = f"osd.{self.osd}"
        match self.kind:
            case "add":
                below = " ".join(f"{kind}={name}" for kind, name in self.location)
                return f"add {name} weight={self.value / ONE:g} class={self.device_class} {below}"
            case "weight" | "reweight":
                return f"{self.kind} {name} {self.value / ONE:g}"
            case kind:
                return f"{kind} {name}"


class StagedRecord(Record, frozen=True, array_like=True, kw_only=True):
    """Changes that wait to be applied, in order."""

    changes: tuple[Change, ...]


def change(record: MapRecord, changes: Sequence[Change], *, now_ms: int) -> MapRecord:
    """Return the next epoch of the map with the changes made, in order.

    Raises MapError where one of them cannot be made.
    """
    changed = record
    for each in changes:
        changed = _make(changed, each, now_ms)
    return replace(
        changed,
        epoch=record.epoch + 1,
        since_ms=now_ms,
        changes=tuple(str(each) for each in changes),
    )


def _make(record: MapRecord, change: Change, now_ms: int) -> MapRecord:
    tree = record.tree()
    match change.kind:
        case "add":
            device = Device(change.osd, change.value, change.device_class)
            return record.with_tree(tree.with_device(device, dict(change.location)))
        case "remove":
            return record.with_tree(tree.without_device(change.osd))
        case "weight":
            return record.with_tree(tree.changed(change.osd, weight=change.value))
        case "reweight":
            return record.with_tree(tree.changed(change.osd, reweight=change.value))
        case state:
            return _set_state(record, change.osd, state, now_ms)


def _set_state(record: MapRecord, osd_id: int, state: State, now_ms: int) -> MapRecord:
    record.osd(osd_id)  # or MapError
    osds = tuple(
        replace(osd, state=state, since_ms=now_ms)
        if osd.id == osd_id and osd.state != state
        else osd
        for osd in record.osds
    )
    return replace(record, osds=osds)


def shortages(record: MapRecord, failed: Collection[int] = ()) -> list[str]:
    """Return for which pools fewer failure domains are left than a blob has shards, in words."""
    tree = record.placed_by()
    found = []
    for pool in record.pools:
        domains = set()
        for device in tree.devices:
            is_usable = pool.device_class in ("", device.device_class)
            is_usable &= device.id not in failed
            if is_usable and device.weight and device.reweight:
                domains |= {b.id for b in tree.path(device.id) if b.type == pool.across}
                domains |= {device.id} if pool.across == "osd" else set()
        if len(domains) < pool.total:
            found.append(
                f"pool {pool.name}: {pool.codec} wants {pool.total} of {pool.across}, "
                f"{len(domains)} left"
            )
    return found


def parse_weight(text: str) -> int:
    """Return a weight or reweight in 16.16; MapError where the text is no number."""
    try:
        return round(float(text) * ONE)
    except (ValueError, OverflowError) as error:
        raise MapError(f"{text!r} is no weight") from error
