"""Who is told, in systemd's place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notified import Notified, notified


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Notified]:
    """What listens at `tmp_path / "notify"`."""
    with notified(tmp_path / "notify") as listening:
        yield listening
