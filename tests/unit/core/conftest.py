"""A store in memory for the tests of core."""

from __future__ import annotations

import pytest

from s3server.data.memory import MemoryPool
from s3server.meta.memory import MemoryStore
from tests.support.blobs import numbered_ids
from tests.support.core_store import TestStore


@pytest.fixture
def store() -> TestStore:
    """Two pools: "main" and "other"."""
    pools = {
        "main": MemoryPool("main", numbered_ids(1)),
        "other": MemoryPool("other", numbered_ids(2)),
    }
    return TestStore(MemoryStore(), pools)
