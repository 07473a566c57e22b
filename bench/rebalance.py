"""What moves when an OSD is added, against the share that has to.

`python -m bench.rebalance --dir /srv/scratch`: a store of three copies on `--osds` OSDs is filled
and gets one more of the same weight. Ideally 1/N of the shards move to it, where it is the N-th,
and none between the others. The time runs until the server has moved all, within its throttle.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench.heal import command, fill, job, status, until
from bench.servers import OURS, print_result, running

WITHIN_S = 900.0


def shards(store: Path) -> dict[str, str]:
    """Return on which OSD each shard file lies."""
    found = store.glob("osd.*/shards/*/*")
    return {path.name: path.parts[-4] for path in found}


def measure(directory: Path, osds: int, objects: int, kib: int) -> dict[str, Any]:
    """Return the fraction of shards that moved, the ideal one, and the seconds that it took."""
    with running("store", f"{OURS} --osds {osds}", directory) as server:
        store = directory / "store"
        fill(server, [kib << 10] * objects)
        before = shards(store)
        command("osd", "add", str(store / f"osd.{osds}"), "--now", "--dir", str(store))
        epoch = status(store)["epoch"]

        def is_over() -> bool:
            state = status(store)
            scan = job(state, "scan")
            is_scanned = scan["note"].startswith(f"epoch {epoch}:") and scan["state"] == "idle"
            return is_scanned and not any(state["repairs"].values())

        seconds = until(is_over, WITHIN_S, "rebalancing")
        after = _newest(store, before)
    moved = [name for name, osd in after.items() if osd != before[name]]
    elsewhere = sum(after[name] != f"osd.{osds}" for name in moved)
    return {
        "osds": osds + 1,
        "objects": objects,
        "shards": len(before),
        "fraction_moved": round(len(moved) / len(before), 4),
        "ideal": round(1 / (osds + 1), 4),
        "moved_between_old_osds": elsewhere,
        "seconds": round(seconds, 1),
    }


def _newest(store: Path, before: dict[str, str]) -> dict[str, str]:
    """Return where shards lie now; the old file of one that moved stays for a grace."""
    after = dict(before)
    for path in store.glob("osd.*/shards/*/*"):
        if path.parts[-4] != before[path.name]:
            after[path.name] = path.parts[-4]
    return after


def main() -> dict[str, Any]:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.rebalance", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where the store is made")
    parser.add_argument("--osds", type=int, default=9, help="before one is added")
    parser.add_argument("--objects", type=int, default=2_000)
    parser.add_argument("--kib", type=int, default=128, help="of an object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as directory:
        return measure(Path(directory), given.osds, given.objects, given.kib)


if __name__ == "__main__":
    print_result(main)
