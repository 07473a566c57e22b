"""The oracle: the same map and rule through Ceph's `crushtool --test`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from placement.choose import Rule
from placement.cluster_map import ONE, TYPES, Map

_HOLE = 2147483647  # CRUSH_ITEM_NONE
_TUNABLES = {
    "choose_local_tries": 0,
    "choose_local_fallback_tries": 0,
    "choose_total_tries": 50,
    "chooseleaf_descend_once": 1,
    "chooseleaf_vary_r": 1,
    "chooseleaf_stable": 1,
    "straw_calc_version": 1,
    "allowed_bucket_algs": 54,
}


def _bucket_text(cluster: Map, bucket_id: int, device_class: str | None) -> str:
    """Our ids go to the tree that the rule draws in: the class's shadow tree if there is one."""
    bucket = cluster.bucket[bucket_id]
    ids = [f"\tid {bucket.id}"]
    if device_class:
        ids = [f"\tid {bucket.id - 10_000}", f"\tid {bucket.id} class {device_class}"]
    items = []
    for item in bucket.items:
        weight = sum(device.weight for device in cluster.below(item)) / ONE
        name = f"osd.{item}" if item >= 0 else cluster.bucket[item].name
        items.append(f"\titem {name} weight {weight:.6f}")
    lines = [f"{bucket.type} {bucket.name} {{", *ids, "\talg straw2", "\thash 0", *items, "}"]
    return "\n".join(lines)


def _rule_text(rule: Rule) -> str:
    take = f"step take {rule.root}" + (f" class {rule.device_class}" if rule.device_class else "")
    steps = [take]
    if rule.mode == "indep":
        steps[:0] = [
            f"step set_chooseleaf_tries {rule.leaf_tries}",
            f"step set_choose_tries {rule.tries}",
        ]
    verb = "choose" if rule.across == "osd" else "chooseleaf"
    steps += [f"step {verb} {rule.mode} 0 type {rule.across}", "step emit"]
    kind = "replicated" if rule.mode == "firstn" else "erasure"
    head = ["rule test {", "\tid 0", f"\ttype {kind}", "\tmin_size 1", "\tmax_size 20"]
    return "\n".join([*head, *(f"\t{step}" for step in steps), "}"])


def text(cluster: Map, rule: Rule) -> str:
    """Return the map and the rule in the language that crushtool compiles."""
    lines = [f"tunable {name} {value}" for name, value in _TUNABLES.items()]
    lines += [f"device {d.id} osd.{d.id} class {d.device_class}" for d in cluster.devices]
    lines += [f"type {number} {name}" for number, name in enumerate(TYPES)]
    upwards = sorted(cluster.buckets, key=lambda bucket: TYPES.index(bucket.type))
    lines += [_bucket_text(cluster, bucket.id, rule.device_class) for bucket in upwards]
    return "\n".join([*lines, _rule_text(rule), ""])


def mappings(cluster: Map, rule: Rule, count: int, directory: Path) -> list[tuple[int | None, ...]]:
    """Return what crushtool chooses for the inputs 0..count-1."""
    source, binary = directory / "map.txt", directory / "map.bin"
    source.write_text(text(cluster, rule))
    subprocess.run(["crushtool", "-c", source, "-o", binary], check=True, capture_output=True)
    command = ["crushtool", "-i", str(binary), "--test", "--show-mappings", "--rule", "0"]
    command += ["--num-rep", str(rule.copies), "--min-x", "0", "--max-x", str(count - 1)]
    for device in cluster.devices:
        if device.reweight != ONE:
            command += ["--weight", str(device.id), f"{device.reweight / ONE:.6f}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = re.findall(r"x \d+ \[([-\d,]*)\]", done.stdout + done.stderr)
    return [
        tuple(None if int(osd) == _HOLE else int(osd) for osd in row.split(",") if osd)
        for row in rows
    ]
