"""The documentation builds, and every link and anchor in it leads somewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.server_process import ROOT

SPHINX = ROOT / ".venv-docs" / "bin" / "sphinx-build"
SITE_S = 300


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build a tree's documentation as `make docs` does."""
    if not SPHINX.exists():
        pytest.skip(".venv-docs is not installed: make test installs it")
    command = [SPHINX, "-q", "-W", "--keep-going", "-c", source / "docs", "-d", target / "read"]
    return subprocess.run(
        [*command, source, target / "site"],
        capture_output=True,
        text=True,
        timeout=SITE_S,
        check=False,
    )


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)

    assert "" == done.stderr
    assert 0 == done.returncode
    assert (tmp_path / "site/docs/how-to/first-server.html").is_file()
    assert "docs/README.html" in (tmp_path / "site/index.html").read_text()


def test_lost_page_and_broken_links_are_errors(tmp_path: Path) -> None:
    docs = tmp_path / "tree/docs"
    docs.mkdir(parents=True)
    for name in ("conf.py", "index.html"):
        (docs / name).write_bytes((ROOT / "docs" / name).read_bytes())
    (docs / "README.md").write_text("# Tree\n\n- [a](a.md)\n")
    (docs / "a.md").write_text("# A\n\n[gone](gone.md), [no such heading](#nowhere), [a](#a)\n")
    (docs / "lost.md").write_text("# Nobody lists this\n")

    done = build(tmp_path / "tree", tmp_path)

    assert 1 == done.returncode
    for complaint in ("'gone.md'", "'nowhere'", "lost.md: WARNING: document isn't included"):
        assert complaint in done.stderr
    assert done.stderr.count("WARNING") == 3
