"""The tests find bugs: each of those in planted*.py makes the test fail that is named with it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.planted import BUGS as OF_STORAGE
from tests.mutants.planted import Bug
from tests.mutants.planted_attacks import WEAKNESSES
from tests.support.power_cut import why_not

BUGS = OF_STORAGE | WEAKNESSES
ROOT = Path(__file__).parents[2]
SITE = Path(__file__).parent / "site"
LIMIT_S = 300
TESTS_FAILED = 1  # pytest's exit status; others are errors of usage or of collection


def run_with(name: str, test: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a test with a bug in it."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--tb=line"]
    options += ["--basetemp", str(directory / "inner")]  # else it tidies up after other runs
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, test],
        cwd=ROOT,
        env=os.environ | {"PLANTED_BUG": name, "PYTHONPATH": str(SITE)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def cases(*, quick: bool) -> list[str]:
    return [name for name, bug in BUGS.items() if bug.is_quick == quick]


def test_there_are_enough_bugs() -> None:
    assert len(OF_STORAGE) > 15
    assert len(WEAKNESSES) >= 30
    assert not OF_STORAGE.keys() & WEAKNESSES.keys()


@pytest.mark.parametrize("name", BUGS)
def test_bug_can_be_planted(name: str) -> None:
    bug = BUGS[name]
    found = importlib.util.find_spec(bug.module)
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text()
    compile(bug.plant(source), found.origin, "exec")
    assert (ROOT / bug.caught_by.partition("::")[0]).exists()


def is_caught(name: str, bug: Bug, directory: Path) -> None:
    if bug.needs_disks and (reason := why_not("ext4")):
        pytest.skip(reason)
    done = run_with(name, bug.caught_by, directory)
    assert TESTS_FAILED == done.returncode, done.stdout + done.stderr
    assert f"FAILED {bug.caught_by.partition('::')[0]}" in done.stdout
    print(f"{name}: {done.stdout.splitlines()[-1]}")


@pytest.mark.parametrize("name", cases(quick=True))
def test_planted_bug_is_caught(tmp_path: Path, name: str) -> None:
    is_caught(name, BUGS[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", cases(quick=False))
def test_each_planted_bug_is_caught(tmp_path: Path, name: str) -> None:
    is_caught(name, BUGS[name], tmp_path)
