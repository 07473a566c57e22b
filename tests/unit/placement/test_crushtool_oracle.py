"""The demands on placement, with Ceph's crushtool as the oracle (package ceph-base).

Of a million inputs over seven maps 99.8 % on each map and 99.9 % of all are placed as crushtool
places them; load and movement are no worse than crushtool's by more than 1 %.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from placement.choose import Chooser, Rule, erasure, replicated
from placement.cluster_map import ONE, Device, Map
from tests.support.clusters import Devices, flat, moved_shards, racks, site, sites
from tests.support.crushtool import mappings

pytestmark = pytest.mark.skipif(
    shutil.which("crushtool") is None, reason="crushtool is not installed"
)


class Case(NamedTuple):
    cluster: Map
    rule: Rule
    share: int  # of the inputs, in percent


UNEVEN = flat(*[ONE * (1 + number % 5) + 1000 * number for number in range(12)])
TREE = racks(3, 4, 3)
OUT = TREE.changed(4, reweight=0).changed(10, reweight=ONE // 2).changed(20, reweight=0)
CASES = {
    "flat": Case(flat(*[ONE] * 12), replicated(3, "osd"), 20),
    "uneven weights": Case(UNEVEN, replicated(3, "osd"), 20),
    "one copy per rack": Case(TREE, replicated(3, "rack"), 15),
    "one copy per site": Case(sites(3), replicated(3, "datacenter"), 15),
    "osds out": Case(OUT, replicated(3, "host"), 15),
    "374 osds, one class": Case(site(), replicated(3, "host", device_class="hdd"), 10),
    "erasure code": Case(site(), erasure(6, "host"), 5),
}
FAST, SLOW = 40_000, 1_000_000


def ours(cluster: Map, rule: Rule, count: int) -> list[Devices]:
    chooser = Chooser(cluster, rule)
    return [chooser.choose(x) for x in range(count)]


def theirs(cluster: Map, rule: Rule, count: int, directory: Path) -> list[Devices]:
    return mappings(cluster, rule, count, directory)


def differing(case: Case, total: int, directory: Path) -> tuple[int, int]:
    """Return how many inputs are placed otherwise than crushtool does, and of how many."""
    count = total * case.share // 100
    pairs = zip(
        ours(case.cluster, case.rule, count),
        theirs(case.cluster, case.rule, count, directory),
        strict=True,
    )
    return sum(mine != other for mine, other in pairs), count


def check_agreement(total: int, directory: Path) -> None:
    found = {name: differing(case, total, directory) for name, case in CASES.items()}
    print(found)
    assert total == sum(count for _, count in found.values())
    assert {} == {name: each for name, each in found.items() if each[0] > 0.002 * each[1]}
    assert sum(differ for differ, _ in found.values()) <= 0.001 * total


def test_forty_thousand_inputs_are_placed_as_crushtool_does(tmp_path: Path) -> None:
    check_agreement(FAST, tmp_path)


@pytest.mark.slow
def test_a_million_inputs_are_placed_as_crushtool_does(tmp_path: Path) -> None:
    check_agreement(SLOW, tmp_path)


# --- balance and movement -----------------------------------------------------------------------

CHANGES = {
    "added": lambda cluster: cluster.with_device(Device(999, 3 * ONE), _place(cluster)),
    "removed": lambda cluster: cluster.without_device(5),
    "reweighted": lambda cluster: cluster.changed(5, reweight=ONE // 2),
}
BALANCED = ("uneven weights", "one copy per site", "osds out", "erasure code")
INPUTS = 2_000


def _place(cluster: Map) -> dict[str, str]:
    """Return where the first device is."""
    return {bucket.type: bucket.name for bucket in cluster.path(0)}


def overload(cluster: Map, table: list[Devices]) -> float:
    """Return how much more than its share the fullest device has, as a factor."""
    counts = Counter(device for row in table for device in row if device is not None)
    weights = {device.id: device.weight * device.reweight for device in cluster.devices}
    total = sum(counts.values()) / sum(weights.values())
    return max(counts[each] / (weights[each] * total) for each in weights if weights[each])


@pytest.mark.parametrize("name", BALANCED)
def test_fullest_device_is_no_fuller_than_by_crushtool(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    mine = overload(case.cluster, ours(case.cluster, case.rule, INPUTS))
    other = overload(case.cluster, theirs(case.cluster, case.rule, INPUTS, tmp_path))
    assert 1 < mine <= other * 1.01


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", BALANCED)
def test_change_of_one_device_moves_no_more_than_by_crushtool(
    name: str, change: str, tmp_path: Path
) -> None:
    case = CASES[name]
    changed = CHANGES[change](case.cluster)
    positional = case.rule.mode == "indep"
    mine = moved_shards(
        ours(case.cluster, case.rule, INPUTS),
        ours(changed, case.rule, INPUTS),
        positional=positional,
    )
    other = moved_shards(
        theirs(case.cluster, case.rule, INPUTS, tmp_path),
        theirs(changed, case.rule, INPUTS, tmp_path),
        positional=positional,
    )
    assert 0 < mine <= other * 1.01
