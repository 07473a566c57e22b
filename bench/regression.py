"""`python -m bench.regression`: few short runs beside rclone, against the bounds of bounds.toml.

Both servers run all the time and take turns, so a check is a ratio of neighbours in time. Ends with
status 1 where the median of a ratio is below its bound, or where a server of the pair made errors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from bench.compare import in_turn
from bench.servers import OURS, RCLONE, print_result, running
from bench.settings import parse_size

BOUNDS = Path(__file__).with_name("bounds.toml")


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all checks share; seconds."""

    pairs: int
    duration: float
    warmup: float
    processes: int


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A load, and the least ratio that is good enough."""

    op: str
    size: str
    connections: int
    objects: int
    at_least: float
    payload: str = "signed"


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    run: Run
    checks: list[Check]


def read_bounds(path: Path) -> Bounds:
    """Return what a file demands. Raises ValueError and OSError."""
    return msgspec.convert(tomllib.loads(path.read_text()), Bounds)


def verdict(check: Check, found: dict[str, Any]) -> dict[str, Any]:
    """Return a check with its ratio, and whether it holds."""
    errors = sum(sum(run["errors"].values()) for pair in found["pairs"] for run in pair.values())
    return {
        **msgspec.to_builtins(check),
        "ratio": found["ratio"],
        "errors": errors,
        "holds": found["ratio"]["median"] >= check.at_least and not errors,
    }


def regression(bounds: Bounds, directory: str | None) -> list[dict[str, Any]]:
    """Return the verdict of each check."""
    verdicts = []
    with (
        tempfile.TemporaryDirectory(dir=directory, prefix="bench-") as name,
        running("a", OURS, Path(name)) as a,
        running("b", RCLONE, Path(name)) as b,
    ):
        for check in bounds.checks:
            print(f"{check.op} {check.size} x {check.connections}", file=sys.stderr, flush=True)
            load = {**msgspec.to_builtins(bounds.run), **msgspec.to_builtins(check)}
            load["size"] = parse_size(check.size)
            verdicts.append(verdict(check, in_turn(a, b, argparse.Namespace(**load))))
    return verdicts


def main() -> None:
    """Check everything; print verdicts as JSON and what fails in words."""
    parser = argparse.ArgumentParser(prog="bench.regression", description=__doc__)
    parser.add_argument("--bounds", type=Path, default=BOUNDS)
    parser.add_argument("--dir", help="where the servers keep their data")
    given = parser.parse_args()
    verdicts: list[dict[str, Any]] = []

    def measured() -> list[dict[str, Any]]:
        verdicts.extend(regression(read_bounds(given.bounds), given.dir))
        return verdicts

    print_result(measured)
    failed = [one for one in verdicts if not one["holds"]]
    for one in failed:
        name = f"{one['op']} {one['size']} x {one['connections']}"
        said = f"{one['ratio']['median']} of rclone's rate, {one['errors']} errors"
        print(f"bench: {name}: {said}; at least {one['at_least']} is demanded", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
