"""The bell that wakes the publisher of events, across processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from s3server.admin import quickstart
from s3server.core import records
from s3server.counters import run_directory
from s3server.events.bell import NAME, Bell
from s3server.maintenance import initialise
from s3server.meta.base import Append, Put
from s3server.metadata import open_metadata

RING = """
import pathlib, sys
from s3server.events.bell import Bell
Bell(pathlib.Path(sys.argv[1])).ring()
"""


@pytest.fixture
def bell(tmp_path: Path) -> Bell:
    return Bell(tmp_path / "run")


async def heard(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()
    event.clear()


async def test_other_process_is_heard_and_after_a_restart_of_the_listener_again(
    bell: Bell, tmp_path: Path
) -> None:
    event = asyncio.Event()
    for _ in range(2):
        assert bell.listen(event.set)
        subprocess.run([sys.executable, "-c", RING, str(tmp_path / "run")], check=True)
        await heard(event)
        bell.close()


async def test_ringing_neither_blocks_nor_fails_whether_or_not_somebody_hears(
    bell: Bell,
) -> None:
    bell.ring()  # nothing there
    event = asyncio.Event()
    bell.listen(event.set)
    for _ in range(1 << 17):  # more than a pipe holds, and nobody reads meanwhile
        bell.ring()
    await heard(event)
    bell.close()
    bell.ring()  # nobody listens any more


async def test_where_no_pipe_can_be_the_listener_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    assert not Bell(tmp_path / "run").listen(lambda: None)
    Bell(tmp_path / "run").ring()


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_lies_in_the_place_of_the_pipe_ends_nobody_and_is_told_once(
    what: str, bell: Bell, tmp_path: Path
) -> None:
    there = tmp_path / "run" / NAME
    there.parent.mkdir()
    there.touch() if what == "file" else there.mkdir()
    assert not bell.listen(lambda: None)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            bell.ring()
    bell.close()
    assert len(logs) <= 1


async def test_commits_of_events_ring_and_others_do_not(tmp_path: Path) -> None:
    config = quickstart.prepare(tmp_path / "store", osds=1, codec="replica:1", server={})()
    await initialise(config)
    meta = await open_metadata(config)
    directory = run_directory(config.storage.meta_dir)
    bell, event = Bell(directory), asyncio.Event()
    assert bell.listen(event.set)
    assert (directory / NAME).is_fifo()
    try:
        await meta.commit([Append(records.GARBAGE, b"x"), Put(b"a", b"b")])
        await asyncio.sleep(0)
        assert not event.is_set()
        await meta.commit([Append(records.event_prefix(bytes(8)), b"x")])
        await heard(event)
    finally:
        bell.close()
        await meta.close()
