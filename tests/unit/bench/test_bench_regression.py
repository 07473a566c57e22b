"""`make bench` holds what was measured against bounds that a file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.regression import BOUNDS, Check, read_bounds, verdict
from bench.settings import parse_size
from bench.workload import OPS

CHECK = Check(op="get", size="4KiB", connections=64, objects=10, at_least=1.5)


def found(median: float, errors: int = 0) -> dict[str, Any]:
    runs = {"A": {"errors": {"503 SlowDown": errors} if errors else {}}, "B": {"errors": {}}}
    return {"ratio": {"min": 0.1, "median": median, "max": 9.0}, "pairs": [runs]}


def test_a_check_holds_at_its_bound_and_fails_below_it_or_by_an_error() -> None:
    verdicts = [verdict(CHECK, one)["holds"] for one in (found(1.5), found(1.499), found(9, 1))]
    assert [True, False, False] == verdicts


def test_the_bounds_that_are_kept_can_be_read() -> None:
    bounds = read_bounds(BOUNDS)
    assert {"put", "get"} <= {check.op for check in bounds.checks} <= set(OPS)
    for check in bounds.checks:
        assert parse_size(check.size) > 0
        assert check.at_least > 0
        assert bounds.run.processes <= check.connections


def test_a_misspelt_bound_is_refused(tmp_path: Path) -> None:
    text = BOUNDS.read_text().replace("at_least", "at_lest", 1)
    (tmp_path / "bounds.toml").write_text(text)
    with pytest.raises(ValueError, match="at_le"):
        read_bounds(tmp_path / "bounds.toml")
