"""Walk a rule over a map: `copies` devices, no two below the same bucket of type `across`.

The algorithm is CRUSH (Weil et al., SC 2006) as Ceph documents it, with the "jewel"/"optimal"
tunables: no local retries, chooseleaf_descend_once, chooseleaf_vary_r = 1, chooseleaf_stable = 1.
Its oracle is `crushtool --test`. Three differences, none of which meets a well-formed tree: a
class selects devices in the tree as it is (Ceph draws in a copy of it with other bucket ids),
where nothing has weight nothing is chosen, and a device that hangs above the level asked for
costs one try instead of the whole position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from placement.cluster_map import ONE, ROOT, TYPES, Map, MapError
from placement.hashing import hash2
from placement.straw2 import draw

_UNDECIDED = -(1 << 40)  # no id of a device or bucket


@dataclass(frozen=True, slots=True)
class Rule:
    """What is placed. `tries` descents in all per shard; `leaf_tries` below one failure domain.

    "firstn" (replicas) closes ranks: a device that leaves moves the later ones up. "indep"
    (erasure codes) keeps positions: only the position that was lost changes.
    """

    copies: int
    across: str
    mode: Literal["firstn", "indep"] = "firstn"
    device_class: str | None = None
    root: str = ROOT
    tries: int = 51  # Ceph's choose_total_tries = 50 counts the retries after the first
    leaf_tries: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1 or self.tries < 1 or self.leaf_tries < 1:
            raise MapError("copies, tries and leaf_tries are at least 1")
        if self.across not in TYPES:
            raise MapError(f"cannot place across {self.across!r}: one of {', '.join(TYPES)}")
        if self.mode not in {"firstn", "indep"}:
            raise MapError(f"unknown mode {self.mode!r}")


def replicated(copies: int, across: str, *, device_class: str | None = None) -> Rule:
    """Return the rule "copies, one per `across`", as Ceph's replicated rules."""
    return Rule(copies, across, "firstn", device_class)


def erasure(total: int, across: str, *, device_class: str | None = None) -> Rule:
    """Return the rule for k+m shards, one per `across`, with the tries of Ceph's erasure rules."""
    return Rule(total, across, "indep", device_class, tries=100, leaf_tries=5)


@dataclass(frozen=True, slots=True)
class Draw:
    """One descent for a position: which failure domain was drawn, and which device in it.

    Without a device the next one follows: the domain has a shard already, or what was drawn in it
    is out.
    """

    position: int
    r: int
    domain: int | None
    device: int | None


class Chooser:
    """One rule bound to one map. MapError if the rule's root does not exist."""

    def __init__(self, cluster: Map, rule: Rule) -> None:
        self._rule = rule
        self._root = cluster.named(rule.root).id
        self._type = {bucket.id: bucket.type for bucket in cluster.buckets}
        self._reweight = {device.id: device.reweight for device in cluster.devices}
        weights = {
            device.id: device.weight
            for device in cluster.devices
            if rule.device_class in {None, device.device_class}
        }
        self._items: dict[int, tuple[tuple[int, int], ...]] = {}
        for bucket in sorted(cluster.buckets, key=lambda bucket: TYPES.index(bucket.type)):
            items = tuple((item, weights[item]) for item in bucket.items if item in weights)
            self._items[bucket.id] = items
            weights[bucket.id] = sum(weight for _, weight in items)

    def choose(self, x: int) -> tuple[int | None, ...]:
        """Return the devices for input `x`.

        firstn: at most `copies` devices, fewer if no more can be found; never None.
        indep: exactly `copies` positions, None where no device can be found.
        """
        if self._rule.mode == "firstn":
            return tuple(self._firstn(x))
        return tuple(self._indep(x))

    def trace(self, x: int) -> list[Draw]:
        """Return all draws that lead to choose(x), in their order."""
        draws: list[Draw] = []
        if self._rule.mode == "firstn":
            self._firstn(x, draws)
        else:
            self._indep(x, draws)
        return draws

    def _descend(self, start: int, wanted: str, x: int, r: int) -> int | None:
        """Draw downwards from bucket `start` to an item of type `wanted`; None if there is none."""
        item = draw(self._items[start], x, r)
        while item is not None and self._type.get(item, TYPES[0]) != wanted:
            if item >= 0:  # a device hangs above the level asked for
                return None
            item = draw(self._items[item], x, r)
        return item

    def _is_out(self, device: int, x: int) -> bool:
        """Reject a device on the share of inputs that its reweight takes away from it."""
        reweight = self._reweight[device]
        return reweight < ONE and (reweight == 0 or hash2(x, device) & 0xFFFF >= reweight)

    def _firstn(self, x: int, draws: list[Draw] | None = None) -> list[int]:
        rule = self._rule
        domains: list[int] = []
        devices: list[int] = []
        for copy in range(rule.copies):
            for r in range(copy, copy + rule.tries):
                domain = self._descend(self._root, rule.across, x, r)
                if domain is None or domain in domains:
                    if draws is not None:
                        draws.append(Draw(copy, r, domain, None))
                    continue
                device = self._leaf(domain, x, range(r, r + rule.leaf_tries))
                if draws is not None:
                    draws.append(Draw(copy, r, domain, device))
                if device is not None:
                    domains.append(domain)
                    devices.append(device)
                    break
        return devices

    def _indep(self, x: int, draws: list[Draw] | None = None) -> list[int | None]:
        rule = self._rule
        domains = [_UNDECIDED] * rule.copies
        devices: list[int | None] = [None] * rule.copies
        for attempt in range(rule.tries):
            if _UNDECIDED not in domains:
                break
            for position in range(rule.copies):
                if domains[position] != _UNDECIDED:
                    continue
                r = position + attempt * rule.copies
                domain = self._descend(self._root, rule.across, x, r)
                if domain is None or domain in domains:
                    if draws is not None:
                        draws.append(Draw(position, r, domain, None))
                    continue
                first = position + r
                stop = first + rule.leaf_tries * rule.copies
                device = self._leaf(domain, x, range(first, stop, rule.copies))
                if draws is not None:
                    draws.append(Draw(position, r, domain, device))
                if device is not None:
                    domains[position] = domain
                    devices[position] = device
        return devices

    def _leaf(self, domain: int, x: int, attempts: range) -> int | None:
        """Return a device below `domain` that takes `x`, drawn once per r of `attempts`."""
        if domain >= 0:
            return None if self._is_out(domain, x) else domain
        for r in attempts:
            device = self._descend(domain, TYPES[0], x, r)
            if device is not None and not self._is_out(device, x):
                return device
        return None
