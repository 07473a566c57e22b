"""Small clusters that the placement tests share."""

from __future__ import annotations

from placement.cluster_map import EMPTY, ONE, Device, Map


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
