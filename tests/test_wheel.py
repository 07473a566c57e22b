"""What is shipped: our packages, and nothing that makes storage fail on purpose."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Names of what tests/support and tests/mutants use to make storage fail.
FAULTS = re.compile(
    r"\b(\w+Vfs|Crash\w+|Countdown|Unsynced|StoreImage|PLANTED_BUG|planted|mutants?|sitecustomize"
    r"|godown|0x8004587[dD])\b"
)
BUILD = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the build back-end is not in this environment")
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-c", BUILD, str(target)], cwd=ROOT, check=True, capture_output=True
    )
    (made,) = target.iterdir()
    return zipfile.ZipFile(made)


def test_wheel_holds_our_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {"s3server", "placement", "bench"} == {
        top for top in tops if not top.endswith(".dist-info")
    }


def test_wheel_holds_no_fault_injection(wheel: zipfile.ZipFile) -> None:
    sources = [name for name in wheel.namelist() if name.endswith(".py")]
    assert len(sources) > 100
    found = {
        name: match.group()
        for name in sources
        if (match := FAULTS.search(wheel.read(name).decode()))
    }
    assert {} == found


def test_the_search_knows_what_it_looks_for() -> None:
    support = [*(ROOT / "tests/support").glob("*.py"), *(ROOT / "tests/mutants").rglob("*.py")]
    found = {path.name for path in support if FAULTS.search(path.read_text())}
    names = {"crash_points.py", "unsynced.py", "faulty_vfs.py", "power_cut.py", "sitecustomize.py"}
    assert names <= found
