"""The devices of a pool's blobs: what a rule says on a map, and what it says without some devices.

A device that takes no new data at present (it failed, or is full) stays in the map: only what
would go there goes elsewhere, as if its reweight were 0, and comes back with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from placement.choose import Chooser, Rule
from placement.cluster_map import Map
from placement.groups import pg_of
from placement.hashing import hash2

_REMEMBERED = 8  # sets of devices to avoid; they change with failures, not with requests

Devices = tuple[int | None, ...]


class Placer:
    """One pool's placement. Thread-safe; a group is computed when it is first asked for."""

    def __init__(self, cluster: Map, rule: Rule, pg_count: int, *, pool_id: int = 0) -> None:
        self._cluster, self._rule = cluster, rule
        self._pg_count, self._pool_id = pg_count, pool_id
        self._whole = _Choices(cluster, rule, pool_id)
        self._reduced: dict[frozenset[int], _Choices] = {}

    def devices(self, blob: bytes, avoid: frozenset[int] = frozenset()) -> Devices:
        """Return the device of each shard of a blob, None where none can be found.

        Devices that stay although others are avoided keep their places.
        """
        group = pg_of(blob, self._pg_count)
        whole = self._whole.of(group)
        if avoid.isdisjoint(whole):
            return whole
        return _aligned(whole, self._without(avoid).of(group))

    def _without(self, avoid: frozenset[int]) -> _Choices:
        choices = self._reduced.get(avoid)
        if choices is None:
            cluster = self._cluster
            for device in cluster.devices:
                if device.id in avoid:
                    cluster = cluster.changed(device.id, reweight=0)
            if len(self._reduced) >= _REMEMBERED:
                self._reduced = {}
            choices = self._reduced[avoid] = _Choices(cluster, self._rule, self._pool_id)
        return choices


class _Choices:
    """What a rule chooses on one map for the groups of a pool, each computed once."""

    def __init__(self, cluster: Map, rule: Rule, pool_id: int) -> None:
        self._chooser, self._copies, self._pool_id = Chooser(cluster, rule), rule.copies, pool_id
        self._found: dict[int, Devices] = {}

    def of(self, group: int) -> Devices:
        found = self._found.get(group)
        if found is None:
            devices = self._chooser.choose(hash2(group, self._pool_id))
            found = devices + (None,) * (self._copies - len(devices))
            self._found[group] = found
        return found


def _aligned(before: Sequence[int | None], after: Sequence[int | None]) -> Devices:
    """Return `after` in an order in which what was there before has its place."""
    stays = set(after)
    places = [device if device in stays else None for device in before]
    fresh = [device for device in after if device is not None and device not in places]
    return tuple(fresh.pop(0) if place is None and fresh else place for place in places)
