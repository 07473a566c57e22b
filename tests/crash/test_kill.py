"""Servers killed at random moments under load: nothing acknowledged is lost, nothing comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from s3server.background import LEASE_MS
from s3server.core.clock import SystemClock
from s3server.core.records import decode, encode, store_key
from s3server.core.upkeep_records import LeaseRecord
from s3server.meta.base import Put
from s3server.metadata import open_metadata
from s3server.settings import load as load_settings
from tests.support.crash_check import check_everything, check_round
from tests.support.crash_client import CrashClient
from tests.support.crash_load import Load
from tests.support.crash_server import KEY, CrashServer, until
from tests.support.store_audit import audit, clean, stopped_store

CLIENTS = 16


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CrashServer]:
    server = CrashServer(tmp_path / "store")
    yield server
    await server.close()


async def kill_again_and_again(server: CrashServer, kills: int, seed: int) -> Load:
    """Kill a server under load, start it again, judge what it says; and so on."""
    chance, began = random.Random(seed), time.monotonic()
    load = Load(server.port, KEY, seed)
    await server.start()
    await load.create_buckets()
    for number in range(kills):
        load.round = number
        async with working(load):
            await asyncio.sleep(chance.uniform(0.1, 1.2))
            await server.kill()
        while chance.random() < 0.1:  # another crash, while it starts
            await server.spawn()
            await asyncio.sleep(chance.uniform(0.2, 2))
            await server.kill()
        await server.start()
        await check_round(load)
        assert [] == load.problems, f"after kill {number} of seed {seed}"
    await check_everything(load)
    print(
        f"seed {seed}: {kills} kills, {load.journal.acknowledged} writes acknowledged, "
        f"{load.journal.unknown} unknown, {load.reads} reads judged, "
        f"{time.monotonic() - began:.0f} s"
    )
    return load


@contextlib.asynccontextmanager
async def working(load: Load) -> AsyncIterator[None]:
    """Keep clients busy in this block."""
    stop = asyncio.Event()
    clients = asyncio.create_task(load.run(stop, CLIENTS))
    try:
        yield
    finally:
        stop.set()
        await clients


async def is_whole_and_tight(server: CrashServer, load: Load) -> None:
    """Stop the server, let the jobs free all they can, and see that all is there after that."""
    assert 0 == await server.stop()
    await is_tight(server)
    await server.start()
    await check_everything(load)
    assert [] == load.problems, f"after compaction, seed {load.seed}"
    assert 0 == await server.stop()


async def is_tight(server: CrashServer) -> None:
    """See that all counts are exact, and that the jobs free all that nothing refers to."""
    async with stopped_store(server.directory / "s3server.toml") as store:
        before = await audit(store)
        assert [] == before.problems
        await clean(store, SystemClock().now_ms())
        after = await audit(store)
    assert [] == after.problems
    assert (0, 0, 0) == (after.garbage, after.dead_shard_files, after.unfinished_files)
    assert (0, 0) == (after.dead_volumes, after.sparse_volumes)
    assert before.objects == after.objects


async def test_kills_under_load_lose_nothing_and_leak_nothing(server: CrashServer) -> None:
    load = await kill_again_and_again(server, 3, seed=1)
    assert [] == load.problems
    await is_whole_and_tight(server, load)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize(("codec", "osds"), [("replica:3", 3), ("ec:2+1", 4), ("ec:4+2", 7)])
async def test_two_hundred_kills_under_load_lose_nothing(
    tmp_path: Path, codec: str, osds: int, part: int
) -> None:
    server = CrashServer(tmp_path / "store", "--pool", codec, "--osds", str(osds))
    try:
        load = await kill_again_and_again(server, 50, seed=200 + 10 * osds + part)
        assert [] == load.problems
        assert load.journal.acknowledged > 500  # what a busy machine does in 50 rounds, too
        await is_whole_and_tight(server, load)
    finally:
        await server.close()


async def test_killed_worker_takes_only_its_own_requests_with_it(server: CrashServer) -> None:
    load = Load(server.port, KEY, seed=3)
    await server.start()
    await load.create_buckets()
    killed, *others = server.workers
    async with working(load):
        await until(lambda: load.journal.acknowledged > 100)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: load.lost_connections > 0)
        after = load.journal.acknowledged
        await until(lambda: load.journal.acknowledged > after + 200)
        await until(lambda: len(server.workers) == 2 and killed not in server.workers)
    assert load.lost_connections <= CLIENTS  # each had one request under way
    assert set(others) < set(server.workers)
    await server.kill()
    await server.start()
    await check_everything(load)
    assert [] == load.problems
    assert 0 == await server.stop()
    await is_tight(server)


async def test_killed_jobs_process_fails_no_request_and_is_replaced(server: CrashServer) -> None:
    load = Load(server.port, KEY, seed=4)
    await server.start()
    await load.create_buckets()
    await until(lambda: server.state["jobs"] is not None)
    async with working(load):
        for _ in range(3):
            killed = server.state["jobs"]
            os.kill(killed, signal.SIGKILL)
            await until(partial(_is_replaced, server, killed))
    assert 0 == load.lost_connections
    await check_everything(load)
    assert [] == load.problems
    assert 0 == await server.stop()
    await is_tight(server)


async def test_replacement_of_a_killed_jobs_process_goes_on_at_once(server: CrashServer) -> None:
    await server.start()
    async with contextlib.aclosing(CrashClient(server.port, KEY)) as client:
        await client.send("PUT", "bucket")
        for kills in (0, 1):
            await client.send("PUT", "bucket", "large", body=bytes(200_000))
            assert 3 == len(shard_files(server))
            await client.send("DELETE", "bucket", "large")
            if kills:
                await lengthen_lease(server)
                os.kill(server.state["jobs"], signal.SIGKILL)
            await until(lambda: not shard_files(server), 1.7 * LEASE_MS / 1_000)


async def lengthen_lease(server: CrashServer) -> None:
    """Let who waits for the end of the jobs' lease wait for as long as can be, twice its time."""
    meta = await open_metadata(load_settings(server.directory / "s3server.toml"))
    key = store_key("lease/jobs")
    row = await meta.get(key)
    assert row is not None
    until_ms = SystemClock().now_ms() + 2 * LEASE_MS
    await meta.commit([Put(key, encode(replace(decode(LeaseRecord, row), until_ms=until_ms)))])
    await meta.close()


def shard_files(server: CrashServer) -> list[Path]:
    return list(server.directory.glob("osd.*/shards/*/*"))


async def test_sigterm_under_load_ends_with_0_and_every_answered_write_is_there(
    server: CrashServer,
) -> None:
    load = Load(server.port, KEY, seed=5)
    await server.start()
    await load.create_buckets()
    async with working(load):
        await until(lambda: load.journal.acknowledged > 100)
        assert 0 == await server.stop()
    # What had begun was served to its end. The kernel resets a connection that it completed
    # between the last accept and the end of the listening socket; a client meets that once.
    assert load.journal.cut <= CLIENTS
    await server.start()
    await check_everything(load)
    assert [] == load.problems
    assert 0 == await server.stop()
    await is_tight(server)


async def test_reload_under_load_fails_no_request(server: CrashServer) -> None:
    load = Load(server.port, KEY, seed=6)
    await server.start()
    await load.create_buckets()
    before = set(server.workers)
    async with working(load):
        await until(lambda: load.journal.acknowledged > 50)
        server.signal(signal.SIGHUP)
        await until(lambda: before.isdisjoint(server.workers) and len(server.workers) == 2)
        after = load.journal.acknowledged
        await until(lambda: load.journal.acknowledged > after + 100)
    assert 0 == load.lost_connections
    await check_everything(load)
    assert [] == load.problems
    assert 0 == await server.stop()
    await is_tight(server)


def _is_replaced(server: CrashServer, killed: int) -> bool:
    return server.state["jobs"] not in (None, killed)
