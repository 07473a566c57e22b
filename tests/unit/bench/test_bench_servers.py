"""Servers that are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.servers import OURS, running


def test_code_in_the_current_directory_is_not_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "s3server"
    other.mkdir()
    (other / "__init__.py").write_text("")
    (other / "__main__.py").write_text("raise SystemExit('the code of another checkout')")
    monkeypatch.chdir(tmp_path)
    with running("ours", OURS, tmp_path) as server:
        assert server.pid
