"""The table of attacks is whole: each row has tests that exist, and what turns them red."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

import pytest

from tests.hardening import limits
from tests.hardening.attacks import ATTACKS
from tests.mutants.planted_attacks import WEAKNESSES

ROOT = Path(__file__).parents[2]
ROWS = range(1, 45)  # 4.1, 4.2 and 4.3 of the hardening reference
OTHER_ROWS = range(45, 72)  # 4.4 to 4.7


@lru_cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def exists(test: str) -> bool:
    """Return whether a test is there; of a table in a test, its function too that in brackets."""
    path, _, name = test.partition("::")
    name, _, case = name.rstrip("]").partition("[")
    return name in functions(path) and (not case or case in functions(path))


def test_no_row_is_missing() -> None:
    assert list(ATTACKS) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_row_is_tested_and_shown_red(row: int) -> None:
    attack = ATTACKS[row]
    assert attack.tests
    assert attack.planted or attack.red_in
    for test in (*attack.tests, *attack.red_in):
        assert exists(test), test
    for name in attack.planted:
        caught_by = WEAKNESSES[name].caught_by
        path = caught_by.partition("::")[0]
        assert any(test == caught_by or test.startswith(path) for test in attack.tests), name


def test_rows_without_plants_have_tests_or_are_named_as_missing() -> None:
    assert sorted(limits.ROWS.keys() | limits.MISSING.keys()) == list(OTHER_ROWS)
    named = [test for tests in (*limits.ROWS.values(), *limits.LIMITS.values()) for test in tests]
    assert [test for test in named if not exists(test)] == []


def test_every_weakness_belongs_to_a_row() -> None:
    assert {name for attack in ATTACKS.values() for name in attack.planted} == set(WEAKNESSES)
