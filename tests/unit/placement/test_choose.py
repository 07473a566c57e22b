"""Rules: distinct domains, weights, out devices, little movement, stable positions."""

from __future__ import annotations

from collections import Counter

import pytest

from placement.choose import Chooser, Rule, erasure, replicated
from placement.cluster_map import ONE, Device, Map, MapError
from tests.support.clusters import flat, moved_shards, racks

INPUTS = 2048
# crushtool 16.2.15 maps these the same.
GOLDEN_FIRSTN = [(7, 10, 0), (5, 9, 1), (3, 7, 11), (11, 7, 1)]
GOLDEN_INDEP = [(7, 11, 4, 0, 9, 2), (5, 9, 1, 3, 10, 6), (3, 7, 11, 0, 8, 5), (11, 6, 5, 3, 9, 0)]


def domains(cluster: Map, devices: tuple[int | None, ...], type_: str) -> list[str]:
    return [
        bucket.name
        for device in devices
        if device is not None
        for bucket in cluster.path(device)
        if bucket.type == type_
    ]


def rows(cluster: Map, rule: Rule, count: int = INPUTS) -> list[tuple[int | None, ...]]:
    chooser = Chooser(cluster, rule)
    return [chooser.choose(x) for x in range(count)]


def test_mappings_are_frozen() -> None:
    chooser = Chooser(racks(3, 2, 2), replicated(3, "rack"))
    assert GOLDEN_FIRSTN == [chooser.choose(x) for x in range(4)]
    chooser = Chooser(racks(3, 2, 2), erasure(6, "host"))
    assert GOLDEN_INDEP == [chooser.choose(x) for x in range(4)]


@pytest.mark.parametrize("rule", [replicated(3, "rack"), erasure(3, "rack")])
def test_no_two_shards_share_a_failure_domain(rule: Rule) -> None:
    cluster = racks(4, 2, 2)
    for devices in rows(cluster, rule, 500):
        assert 3 == len(set(domains(cluster, devices, "rack")))


def test_a_class_is_kept() -> None:
    cluster = racks(3, 2, 3)
    for devices in rows(cluster, replicated(3, "rack", device_class="ssd"), 500):
        assert ["ssd"] * 3 == [cluster.device[device].device_class for device in devices]  # type: ignore[index]


def test_load_follows_the_weights() -> None:
    weights = [ONE, ONE, 2 * ONE, 3 * ONE, ONE // 2, 4 * ONE]
    first = Counter(devices[0] for devices in rows(flat(*weights), replicated(1, "osd"), 8192))
    expected = [8192 * weight / sum(weights) for weight in weights]
    chi_square = sum((first[i] - share) ** 2 / share for i, share in enumerate(expected))
    assert chi_square < 20.52  # p = 0.001 at five degrees of freedom


@pytest.mark.parametrize("rule", [replicated(3, "host"), erasure(4, "host")])
def test_out_devices_get_nothing_and_nobody_goes_short(rule: Rule) -> None:
    cluster = racks(3, 2, 2).changed(0, reweight=0).changed(7, reweight=0)
    for devices in rows(cluster, rule, 500):
        assert not {0, 7} & set(devices)
        assert rule.copies == sum(device is not None for device in devices)


def test_a_reweighted_device_keeps_about_its_share() -> None:
    cluster = flat(*[ONE] * 8)
    full = sum(3 in devices for devices in rows(cluster, replicated(2, "osd")))
    half = sum(
        3 in devices
        for devices in rows(cluster.changed(3, reweight=ONE // 2), replicated(2, "osd"))
    )
    assert 0.40 < half / full < 0.62


def moved_fraction(before: Map, after: Map, rule: Rule) -> float:
    old, new = rows(before, rule), rows(after, rule)
    return moved_shards(old, new, positional=rule.mode == "indep") / (INPUTS * rule.copies)


def test_adding_a_device_moves_little_more_than_its_share() -> None:
    before = flat(*[ONE] * 10)
    after = before.with_device(Device(10, ONE))
    ideal = 1 / 11
    assert ideal * 0.9 < moved_fraction(before, after, replicated(1, "osd")) < ideal * 1.1
    assert ideal * 0.9 < moved_fraction(before, after, replicated(3, "osd")) < ideal * 1.3


def test_taking_a_device_out_moves_little_more_than_its_share() -> None:
    before = flat(*[ONE] * 10)
    after = before.changed(4, reweight=0)
    assert 0.09 < moved_fraction(before, after, replicated(3, "osd")) < 0.11


def test_removing_a_device_moves_little_more_than_its_share() -> None:
    before = flat(*[ONE] * 10)
    after = before.without_device(4)
    assert 0.09 < moved_fraction(before, after, replicated(3, "osd")) < 0.13


def test_positions_of_an_erasure_code_stay_when_a_device_goes_out() -> None:
    before = racks(4, 3, 2)
    rule = erasure(6, "host")
    old, new = rows(before, rule), rows(before.changed(5, reweight=0), rule)
    kept = total = 0
    for was, now in zip(old, new, strict=True):
        assert 5 not in now
        for a, b in zip(was, now, strict=True):
            if a != 5:
                total += 1
                kept += a == b
    assert kept / total > 0.98  # a retry may take a host that a later retry held


def test_replicas_fall_short_where_domains_are_missing() -> None:
    for devices in rows(racks(2, 2, 2), replicated(3, "rack"), 100):
        assert 2 == len(devices) == len(set(devices))
        assert None not in devices


def test_erasure_codes_leave_holes_where_domains_are_missing() -> None:
    for devices in rows(racks(2, 2, 2), erasure(6, "host"), 50):
        assert 6 == len(devices)
        assert 2 == devices.count(None)


def test_an_empty_tree_gives_nothing() -> None:
    cluster = flat(ONE).without_device(0)
    assert () == Chooser(cluster, replicated(2, "osd")).choose(1)
    assert (None, None) == Chooser(cluster, erasure(2, "osd")).choose(1)


def test_devices_above_the_failure_domain_are_never_used() -> None:
    cluster = racks(1, 3, 1).with_device(Device(9, ONE))
    for devices in rows(cluster, replicated(2, "host"), 200):
        assert 2 == len(devices)
        assert 9 not in devices


def test_an_unknown_root_is_refused() -> None:
    with pytest.raises(MapError, match="attic"):
        Chooser(flat(ONE), Rule(1, "osd", root="attic"))


@pytest.mark.parametrize(
    "fields",
    [{"copies": 0}, {"across": "row"}, {"mode": "some"}, {"tries": 0}, {"leaf_tries": 0}],
)
def test_a_nonsense_rule_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MapError):
        Rule(**{"copies": 1, "across": "osd", **fields})  # type: ignore[arg-type]
