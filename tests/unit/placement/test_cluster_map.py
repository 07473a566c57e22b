"""The tree is valid by construction, and changes make new epochs."""

from __future__ import annotations

from typing import Any

import pytest

from placement.cluster_map import EMPTY, ONE, Bucket, Device, Map, MapError
from tests.support.clusters import racks


def test_adding_a_device_makes_its_buckets_and_the_next_epoch() -> None:
    cluster = EMPTY.with_device(Device(4, ONE), {"rack": "r1", "host": "n3"})
    assert 1 == cluster.epoch
    assert ["n3", "r1", "default"] == [bucket.name for bucket in cluster.path(4)]


def test_adding_to_an_existing_host_keeps_the_buckets_ids() -> None:
    before = racks(2, 2, 2)
    after = before.with_device(Device(8, ONE), {"rack": "r1", "host": "r1n0"})
    assert [b.id for b in before.buckets] == [b.id for b in after.buckets]
    assert (4, 5, 8) == after.named("r1n0").items


def test_a_host_in_another_rack_is_refused() -> None:
    with pytest.raises(MapError, match="elsewhere"):
        racks(2, 2, 2).with_device(Device(8, ONE), {"rack": "r0", "host": "r1n0"})


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(MapError, match="unknown types"):
        EMPTY.with_device(Device(0, ONE), {"row": "a"})


def test_a_device_id_is_used_once() -> None:
    with pytest.raises(MapError, match=r"osd\.3 exists"):
        racks(2, 2, 2).with_device(Device(3, ONE), {"rack": "r0", "host": "r0n0"})


def test_removing_a_device_leaves_the_rest_in_place() -> None:
    cluster = racks(2, 2, 2).without_device(4)
    assert 9 == cluster.epoch
    assert (5,) == cluster.named("r1n0").items
    assert {0, 1, 2, 3, 5, 6, 7} == set(cluster.device)


def test_changes_name_their_device() -> None:
    cluster = racks(1, 2, 2).changed(1, weight=3 * ONE, reweight=ONE // 2)
    assert Device(1, 3 * ONE, "hdd", ONE // 2) == cluster.device[1]
    for change in (cluster.without_device, cluster.changed, cluster.path):
        with pytest.raises(MapError, match=r"no device osd\.9"):
            change(9)


def test_devices_below_a_bucket_come_in_tree_order() -> None:
    cluster = racks(2, 2, 2)
    assert [4, 5, 6, 7] == [device.id for device in cluster.below(cluster.named("r1").id)]


@pytest.mark.parametrize(
    ("device", "complaint"),
    [
        ({"id": -1}, "start at 0"),
        ({"weight": -1}, "outside"),
        ({"weight": 1 << 32}, "outside"),
        ({"reweight": ONE + 1}, "reweight"),
        ({"device_class": "a b"}, "class"),
    ],
)
def test_a_malformed_device_is_refused(device: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MapError, match=complaint):
        Device(**{"id": 0, "weight": ONE, **device})


@pytest.mark.parametrize(
    ("buckets", "complaint"),
    [
        ([Bucket(-1, "root", "a", (0, 1)), Bucket(-1, "root", "b")], "share an id"),
        ([Bucket(-1, "root", "a", (0, 1)), Bucket(-2, "root", "a")], "share a name"),
        ([Bucket(-1, "root", "a", (0, 1)), Bucket(-2, "root", "b", (1,))], "two parents"),
        ([Bucket(-1, "root", "a", (0, 1, 2))], "no node has id 2"),
        ([Bucket(-1, "root", "a", (0,))], "in no bucket"),
        ([Bucket(-1, "rack", "a", (0, 1))], "only a root"),
        (
            [Bucket(-1, "root", "r"), Bucket(-2, "host", "a", (0, 1, -3)),
             Bucket(-3, "host", "b", (-2,))],
            "not of a lower type",
        ),
    ],
)  # fmt: skip
def test_a_malformed_tree_is_refused(buckets: list[Bucket], complaint: str) -> None:
    with pytest.raises(MapError, match=complaint):
        Map(1, (Device(0, ONE), Device(1, ONE)), tuple(buckets))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bucket(1, "host", "a"),
        lambda: Bucket(-1, "osd", "a"),
        lambda: Bucket(-1, "host", "a/b"),
        lambda: Bucket(-1, "host", "a", (1, 1)),
        lambda: Map(-1, (), ()),
        lambda: racks(1, 1, 2).changed(0, weight=(1 << 32) - 1),
        lambda: racks(1, 1, 2).named("r9"),
    ],
    ids=[
        "positive bucket id",
        "device as bucket",
        "slash in name",
        "item twice",
        "negative epoch",
        "too much weight",
        "unknown name",
    ],
)
def test_nonsense_is_refused(make: Any) -> None:
    with pytest.raises(MapError):
        make()
