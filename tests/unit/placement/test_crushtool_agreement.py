"""Mapping by mapping against Ceph's crushtool, where it is installed (package ceph-base)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from placement.choose import Chooser, Rule, erasure, replicated
from placement.cluster_map import ONE, Map
from tests.support.clusters import flat, racks
from tests.support.crushtool import mappings

INPUTS = 1000
UNEVEN = flat(*[ONE * (1 + number % 5) + 1000 * number for number in range(12)])
TREE = racks(3, 3, 3)
OUT = TREE.changed(4, reweight=0).changed(10, reweight=ONE // 2).changed(20, reweight=0)


@pytest.mark.skipif(shutil.which("crushtool") is None, reason="crushtool is not installed")
@pytest.mark.parametrize(
    ("cluster", "rule"),
    [
        pytest.param(flat(*[ONE] * 10), replicated(3, "osd"), id="flat"),
        pytest.param(UNEVEN, replicated(3, "osd"), id="uneven"),
        pytest.param(UNEVEN, erasure(6, "osd"), id="uneven erasure"),
        pytest.param(TREE, replicated(3, "rack"), id="one copy per rack"),
        pytest.param(TREE, replicated(3, "rack", device_class="hdd"), id="class"),
        pytest.param(OUT, replicated(3, "host"), id="out"),
        pytest.param(OUT, erasure(6, "host"), id="out erasure"),
        pytest.param(racks(2, 2, 2), replicated(3, "rack"), id="short"),
        pytest.param(racks(1, 4, 2), erasure(6, "host"), id="holes"),
    ],
)
def test_crushtool_maps_the_same(cluster: Map, rule: Rule, tmp_path: Path) -> None:
    inputs = 100 if rule == erasure(6, "host") and len(cluster.devices) == 8 else INPUTS
    theirs = mappings(cluster, rule, inputs, tmp_path)
    chooser = Chooser(cluster, rule)
    differing = [x for x in range(inputs) if chooser.choose(x) != theirs[x]]
    # Ceph's logarithm table is not exactly its formula: a few close draws end differently.
    assert len(differing) <= inputs * 0.005, differing
