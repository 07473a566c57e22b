"""Devices that are avoided: what would go there goes elsewhere, and nothing else moves much."""

from __future__ import annotations

import itertools

import pytest

from placement.choose import Chooser, Rule, erasure, replicated
from placement.cluster_map import ONE, Map
from placement.groups import pg_of
from placement.hashing import hash2
from placement.placer import Placer
from tests.support.clusters import flat, racks

BLOBS = [number.to_bytes(16, "big") for number in range(400)]
MAP = racks(4, 3, 3)
RULES = [replicated(3, "rack"), replicated(3, "host"), erasure(6, "host"), erasure(4, "rack")]


@pytest.mark.parametrize("rule", RULES)
def test_devices_are_those_of_the_group(rule: Rule) -> None:
    placer, chooser = Placer(MAP, rule, 256, pool_id=3), Chooser(MAP, rule)
    for blob in BLOBS:
        assert placer.devices(blob) == chooser.choose(hash2(pg_of(blob, 256), 3))


def test_pools_are_placed_apart() -> None:
    one, other = (Placer(MAP, RULES[0], 256, pool_id=number) for number in (1, 2))
    assert any(one.devices(blob) != other.devices(blob) for blob in BLOBS)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("avoid", [{0}, {5, 17}, {0, 1, 2, 3, 4, 5}])
def test_avoided_devices_take_nothing_and_others_keep_their_places(
    rule: Rule, avoid: set[int]
) -> None:
    placer, moved, kept = Placer(MAP, rule, 256), 0, 0
    for blob in BLOBS:
        before, after = placer.devices(blob), placer.devices(blob, frozenset(avoid))
        assert avoid.isdisjoint(after)
        assert rule.copies == len(after) == len(set(after))
        domains = {MAP.path(device)[0 if rule.across == "host" else 1].id for device in after
                   if device is not None}  # fmt: skip
        assert len(domains) == sum(device is not None for device in after)
        for one, other in zip(before, after, strict=True):
            if one not in avoid:
                moved, kept = moved + (one != other), kept + (one == other)
        if avoid.isdisjoint(before):
            assert before == after
    assert moved <= 0.03 * kept


def test_avoiding_is_choosing_with_reweight_0() -> None:
    reduced: Map = MAP.changed(7, reweight=0)
    placer, rule = Placer(MAP, RULES[1], 64), RULES[1]
    expected = Placer(reduced, rule, 64)
    for blob in BLOBS:
        assert set(expected.devices(blob)) == set(placer.devices(blob, frozenset({7})))


def test_where_too_few_are_left_places_stay_empty() -> None:
    placer = Placer(flat(ONE, ONE, ONE), replicated(3, "osd"), 16)
    for blob in BLOBS[:100]:
        before = placer.devices(blob)
        after = placer.devices(blob, frozenset({1, 9}))
        assert tuple(None if device == 1 else device for device in before) == after
        assert (None,) * 3 == placer.devices(blob, frozenset({0, 1, 2}))


def test_every_set_that_is_avoided_is_remembered_for_a_while_only() -> None:
    placer = Placer(MAP, RULES[1], 64)
    for avoid in itertools.combinations(range(12), 2):
        found = placer.devices(BLOBS[0], frozenset(avoid))
        assert found == placer.devices(BLOBS[0], frozenset(avoid))
