"""An OSD that was away while objects were deleted brings none of them back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3server.core.clock import SystemClock
from tests.support.blobs import pattern
from tests.support.crash_client import CrashClient, Refused
from tests.support.crash_server import KEY, CrashServer
from tests.support.store_audit import audit, clean, stopped_store

SIZES = (100, 4_096, 65_536, 65_537, 300_000)
KEYS = [f"{kind}/{number}-{size}" for kind in ("gone", "new", "kept")
        for number in range(4) for size in SIZES]  # fmt: skip


@pytest.fixture
async def server(tmp_path: Path, codec: str) -> AsyncIterator[CrashServer]:
    server = CrashServer(tmp_path / "store", "--pool", codec, "--osds", "5")
    yield server
    await server.close()


def body(key: str, generation: int) -> bytes:
    return pattern(int(key.rpartition("-")[2]), seed=KEYS.index(key) + 1_000 * generation)


async def assert_nothing_came_back(client: CrashClient) -> None:
    expected = {key: 1 if key.startswith("new") else 0 for key in KEYS if key[:4] != "gone"}
    listed = (await client.send("GET", "bucket", "", {"list-type": "2"})).document
    assert sorted(expected) == [entry.text for entry in listed.findall("Contents/Key")]
    for key in KEYS:
        if key not in expected:
            with pytest.raises(Refused, match="NoSuchKey"):
                await client.send("GET", "bucket", key)
        else:
            assert body(key, expected[key]) == (await client.send("GET", "bucket", key)).body


@pytest.mark.parametrize(("codec", "away"), [("replica:3", 3), ("ec:2+1", 0)])
async def test_what_was_deleted_while_an_osd_was_away_stays_deleted(
    server: CrashServer, away: int
) -> None:
    disk, elsewhere = server.directory / f"osd.{away}", server.directory.with_name("elsewhere")
    await server.start()
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        await client.send("PUT", "bucket")
        for key in KEYS:
            await client.send("PUT", "bucket", key, body=body(key, 0))
    assert 0 == await server.stop()
    disk.rename(elsewhere)
    disk.mkdir()  # as a mount point whose disk is missing

    await server.start()
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        for key in KEYS:
            if key.startswith("gone"):
                await client.send("DELETE", "bucket", key)
            elif key.startswith("new"):
                await client.send("PUT", "bucket", key, body=body(key, 1))
        await assert_nothing_came_back(client)
    assert 0 == await server.stop()
    assert [] == list(disk.iterdir()), "a directory without identity was written to"

    disk.rmdir()
    elsewhere.rename(disk)
    await server.start()
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        await assert_nothing_came_back(client)
    assert 0 == await server.stop()
    async with stopped_store(server.directory / "s3server.toml") as store:
        await clean(store, SystemClock().now_ms())
        found = await audit(store)
    assert [] == found.problems
    assert (0, 0, 0) == (found.garbage, found.dead_shard_files, found.dead_volumes)
    await server.start()
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        await assert_nothing_came_back(client)
    assert 0 == await server.stop()
