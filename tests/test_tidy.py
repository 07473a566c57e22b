"""Habits of the house that no linter knows: sizes, docstrings, pairs of files, what is kept."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FILE_BYTES = 500, 60, 200_000
TEXT = {".py", ".md", ".toml", ".txt", ".cfg", ".ini", ".yml", ".yaml", ".sh", ".service", ".conf"}


def tracked() -> list[Path]:
    """Return what is committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py"]
TEXTS = [path for path in FILES if path.suffix in TEXT or not path.suffix]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_look_at() -> None:
    assert len(PYTHON) > 100
    assert ROOT / "s3server" / "server.py" in PYTHON


def test_files_have_500_lines_at_most() -> None:
    long = {name_of(path) for path in PYTHON if len(path.read_text().splitlines()) > MAX_FILE_LINES}
    assert long == set()


def test_functions_fit_a_screen() -> None:
    long = [
        f"{name_of(path)}:{one.lineno} {one.name}"
        for path in PYTHON
        for one in functions(path)
        if (one.end_lineno or 0) - one.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name_of(path) for path in PYTHON if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_what_is_left_to_do_has_an_issue() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
    found = [
        f"{name_of(path)}:{number}"
        for path in PYTHON
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "#" in line and mark.search(line.partition("#")[2])
    ]
    assert found == []


def test_no_large_file_is_committed() -> None:
    assert [name_of(path) for path in FILES if path.stat().st_size > MAX_FILE_BYTES] == []


# Package registries by their hosts, and directories of the machine that something was written on;
# spelt with brackets, so that the pattern is not what it looks for.
FORBIDDEN = re.compile(
    r"[p]ypi\.org|[p]ythonhosted|[n]pmjs\.org|[d]eb\.debian|/[w]ork/|/[r]oot/|/[h]ome/[a-z]+/|[i]ndex-url"
)


def test_no_registry_and_no_machine_is_named() -> None:
    found = [
        f"{name_of(path)}:{number} {line.strip()[:80]}"
        for path in TEXTS
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


OPERATIONS = sorted(
    path.stem for path in (ROOT / "s3server" / "ops").glob("*.py") if path.stem != "__init__"
)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_file_of_operations_has_its_tests(name: str) -> None:
    tests = ROOT / "tests" / "ops" / f"test_{name}.py"
    assert tests.is_file()
    assert [one for one in functions(tests) if one.name.startswith("test_")] != []


def test_tests_of_operations_belong_to_a_file() -> None:
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests/ops").glob("test_*.py")}
    assert tested <= set(OPERATIONS)


def test_no_assert_guards_a_request() -> None:
    """`python -O` must not open a door."""
    wire = [
        path for path in PYTHON if name_of(path).startswith(("s3server/ops/", "s3server/auth/"))
    ]
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in wire
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_changelog_keeps_its_format() -> None:
    """The format of keepachangelog.com, 1.1.0."""
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    releases = [line for line in lines if line.startswith("## ")]
    assert releases[0] == "## [Unreleased]"
    pattern = re.compile(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}")
    assert [line for line in releases[1:] if not pattern.fullmatch(line)] == []
    kinds = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert kinds <= SECTIONS


def test_architecture_names_every_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (one for one in project["tool"]["importlinter"]["contracts"] if "layers" in one)
    told = (ROOT / "ARCHITECTURE.md").read_text().partition("## Layers")[2].partition("##")[0]
    layers = {name for layer in contract["layers"] for name in re.findall(r"\w+", layer)}
    assert layers - set(re.findall(r"\w+", told)) == set()
