"""Small clusters that the placement tests share."""

from __future__ import annotations

from collections.abc import Sequence

from placement.cluster_map import EMPTY, ONE, Device, Map

Devices = tuple[int | None, ...]


def flat(*weights: int) -> Map:
    """Devices 0.. directly below the root."""
    cluster = EMPTY
    for number, weight in enumerate(weights):
        cluster = cluster.with_device(Device(number, weight))
    return cluster


def racks(rack_count: int, hosts: int, devices: int) -> Map:
    """Racks of hosts of devices, numbered rack by rack; each third device is an ssd."""
    cluster = EMPTY
    number = 0
    for rack in range(rack_count):
        for host in range(hosts):
            for _ in range(devices):
                kind = "hdd" if number % 3 else "ssd"
                location = {"rack": f"r{rack}", "host": f"r{rack}n{host}"}
                device = Device(number, ONE + 1000 * number, kind)
                cluster = cluster.with_device(device, location)
                number += 1
    return cluster


def site() -> Map:
    """A centre's 374 OSDs in 23 hosts of three racks; four ssd of 1 and twelve hdd of 8 per host.

    Six hosts have one hdd more.
    """
    cluster, number = EMPTY, 0
    for host in range(23):
        location = {"rack": f"r{host % 3}", "host": f"n{host}"}
        for slot in range(17 if host < 6 else 16):
            weight, kind = (ONE, "ssd") if slot < 4 else (8 * ONE, "hdd")
            cluster = cluster.with_device(Device(number, weight, kind), location)
            number += 1
    return cluster


def sites(count: int) -> Map:
    """Datacenters of two racks of three hosts of two OSDs, of uneven weights."""
    cluster, number = EMPTY, 0
    for host in range(count * 6):
        location = {
            "datacenter": f"dc{host // 6}",
            "rack": f"r{host // 3}",
            "host": f"n{host}",
        }
        for _ in range(2):
            cluster = cluster.with_device(Device(number, ONE * (2 + number % 3)), location)
            number += 1
    return cluster


def moved_shards(before: Sequence[Devices], after: Sequence[Devices], *, positional: bool) -> int:
    """Return how many shards have to be written to a device that does not hold them.

    Positional (indep): every shard is another piece; otherwise (firstn) copies are equal.
    """
    pairs = zip(before, after, strict=True)
    if positional:
        return sum(
            new not in (None, old) for was, now in pairs for old, new in zip(was, now, strict=True)
        )
    return sum(len(set(now) - set(was) - {None}) for was, now in pairs)
