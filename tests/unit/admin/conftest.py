"""A store for commands, which no server serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3server.admin import quickstart


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A quickstart directory whose server does not run."""
    monkeypatch.delenv("S3SERVER_ROOT_ACCESS_KEY", raising=False)
    monkeypatch.delenv("S3SERVER_ROOT_SECRET_KEY", raising=False)
    quickstart.prepare(tmp_path / "store", osds=None, codec=None, server={})
    return str(tmp_path / "store")
