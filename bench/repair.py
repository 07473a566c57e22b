"""How long it takes until all is whole, and in its place, after an OSD was lost.

`python -m bench.repair --dir /srv/scratch`: five OSDs, three copies, 10,000 objects that are 2 GiB
together, half of them of 4 KiB; OSD 0 is taken away and marked out. The time runs from the new
map, a moment later, until all blobs were compared with it and no repair is left to be done, of
blobs that lack shards nor of shards that lie elsewhere than the map says. It is looked for every
0.5 s, by a command that takes a second itself.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bench.heal import command, fill, job, status, until
from bench.servers import OURS, print_result, running

WITHIN_S = 600.0


def measure(directory: Path, objects: int, total_mib: int) -> dict[str, Any]:
    """Return the seconds, and what was repaired."""
    small = 4096  # half of the objects, as where many are metadata and some are data
    large = ((total_mib << 20) - objects // 2 * small) // (objects - objects // 2)
    sizes = [small if number % 2 else large for number in range(objects)]
    with running("store", OURS + " --osds 5", directory) as server:
        store = directory / "store"
        fill(server, sizes)
        taken = directory / "taken"
        (store / "osd.0").rename(taken)
        command("osd", "out", "0", "--now", "--dir", str(store))
        epoch = status(store)["epoch"]

        def is_whole() -> bool:
            state = status(store)
            scan = job(state, "scan")
            is_over = scan["note"].startswith(f"epoch {epoch}:") and scan["state"] == "idle"
            return is_over and not any(state["repairs"].values())

        seconds = until(is_whole, WITHIN_S, "repair")
        counts = job(status(store), "repair")["counts"]
    shutil.rmtree(taken)
    return {
        "objects": objects,
        "mib": total_mib,
        "seconds": round(seconds, 1),
        "repaired": counts,
        "mib_s": round(total_mib * 3 / 5 / seconds, 1),  # of objects with a shard on the lost OSD
    }


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="bench.repair", description=__doc__)
    parser.add_argument("--dir", type=Path, default=None, help="where the store is made")
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--mib", type=int, default=2_048)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as directory:
        return measure(Path(directory), given.objects, given.mib)


if __name__ == "__main__":
    print_result(main)
