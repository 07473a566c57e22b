"""Fixtures that several parts of the suite share."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.served import DiskStore, Store, open_disk_store
from tests.support.server_process import RunningServer, run_server

# A machine that is busy with other work is no fault of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A script's shell lets what it runs in the background ignore Ctrl-C, and all that this starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store() -> Store:
    """A server in this process, on dictionaries, with a clock that stands still."""
    return Store()


@pytest.fixture
async def data(store: Store) -> Store:
    """That server, with a private bucket of alice's named "data"."""
    await store.alice.made("/data")
    return store


@pytest.fixture
async def disk_store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    """The application of one worker on LMDB and three OSD directories."""
    async with open_disk_store(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server with two workers, started through its command line."""
    with run_server(tmp_path_factory.mktemp("server") / "store") as running:
        yield running
