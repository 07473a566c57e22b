"""Every metadata engine keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3server.meta.base import MetadataStore
from s3server.meta.lmdb import LmdbStore
from s3server.meta.memory import MemoryStore
from tests.contract.metadata_store import MetadataStoreContract


class TestMemory(MetadataStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[MetadataStore]:
        store = MemoryStore()
        yield store
        await store.close()


class TestLmdb(MetadataStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MetadataStore]:
        store = LmdbStore.open(tmp_path / "meta", ballast_bytes=0)
        yield store
        await store.close()
