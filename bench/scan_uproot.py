"""One scan by uproot, in whatever Python has it.

`write FILE SIZE`, or `scan` with a path or URL on standard input.

Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import fsspec  # noqa: F401 (imported before the clock runs)
import numpy as np
import uproot

_BRANCHES = 24
_EVENTS = 20_000  # of a cluster
_STEP = "16 MB"


def write(path: str, size: int) -> None:
    """Write a tree of about `size` bytes."""
    random = np.random.default_rng(0)
    names = [f"b{number}" for number in range(_BRANCHES)]
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("physics", dict.fromkeys(names, "float64"))
        for _ in range(max(1, size // (_BRANCHES * _EVENTS * 5))):
            tree.extend({name: _values(random) for name in names})


def _values(random: Any) -> Any:
    """Return numbers of which about five bytes in eight are noise."""
    return random.integers(0, 1 << 30, _EVENTS).astype("float64")


def scan(place: str) -> tuple[float, float]:
    """Return the seconds that reading all events took, and the sum of their numbers."""
    began = time.perf_counter()
    total = 0.0
    with uproot.open({place: "physics"}) as tree:
        for arrays in tree.iterate(step_size=_STEP, library="np"):
            total += sum(float(values.sum()) for values in arrays.values())
    return time.perf_counter() - began, total


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
        return
    seconds, total = scan(sys.stdin.read())
    print(json.dumps({"seconds": seconds, "sum": total}))


if __name__ == "__main__":
    main()
