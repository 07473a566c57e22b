"""The power of the whole server fails under load: nothing acknowledged is lost, nothing is torn."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.test_restore import restored
from tests.support.crash_check import check_everything, check_round
from tests.support.crash_load import Load
from tests.support.crash_server import KEY, CrashServer
from tests.support.power_cut import Disks, freeze, powered, wait_until_gone
from tests.support.store_audit import audit, stopped_store

CLIENTS = 8


@dataclass
class Machine:
    """A server on disks whose power can be cut."""

    server: CrashServer
    disks: Disks
    load: Load
    chance: random.Random

    async def cut(self) -> None:
        """Cut the power, and give it back."""
        group = self.server.group
        await asyncio.to_thread(freeze, group)
        await asyncio.to_thread(self.disks.shut_down, self.chance)
        await self.server.kill()
        await asyncio.to_thread(wait_until_gone, group)
        await asyncio.to_thread(self.disks.unmount)
        await asyncio.to_thread(self.disks.mount)

    async def cut_again_and_again(self, cuts: int) -> None:
        """Cut the power under load, start again, judge what the server says; and so on."""
        began, load = time.monotonic(), self.load
        await self.server.start()
        await load.create_buckets()
        for number in range(cuts):
            load.round = number
            stop = asyncio.Event()
            clients = asyncio.create_task(load.run(stop, CLIENTS))
            try:
                await asyncio.sleep(self.chance.uniform(0.1, 0.6))
                await self.cut()
            finally:
                stop.set()
                await clients
            if self.chance.random() < 0.1:  # another cut, while it starts
                await self.server.spawn()
                await asyncio.sleep(self.chance.uniform(0.2, 1.5))
                await self.cut()
            await self.server.start()
            await check_round(load)
            assert [] == load.problems, f"after cut {number} of seed {load.seed}"
        await check_everything(load)
        assert [] == load.problems, f"after all cuts of seed {load.seed}"
        print(
            f"seed {load.seed}: {cuts} power cuts, {load.journal.acknowledged} writes "
            f"acknowledged, {load.journal.unknown} unknown, {load.reads} reads judged, "
            f"{time.monotonic() - began:.0f} s"
        )

    async def cut_and_lose_metadata(self) -> None:
        """Cut the power once more under load, delete the metadata, and restore them."""
        stop = asyncio.Event()
        clients = asyncio.create_task(self.load.run(stop, CLIENTS))
        try:
            await asyncio.sleep(self.chance.uniform(0.3, 1))
            await self.cut()
        finally:
            stop.set()
            await clients
        shutil.rmtree(self.server.directory / "meta")
        await restored(self.server)
        await self.server.start()
        await check_everything(self.load)
        assert [] == self.load.problems, f"restored after all cuts of seed {self.load.seed}"

    async def is_whole(self) -> None:
        """Stop the server, and see that every count is exact and every shard whole."""
        assert 0 == await self.server.stop()
        async with stopped_store(self.server.directory / "s3server.toml") as store:
            assert [] == (await audit(store)).problems


@contextlib.asynccontextmanager
async def machine(
    directory: Path, kind: str, codec: str, osds: int, seed: int, *, workers: int = 2
) -> AsyncIterator[Machine]:
    """Give a machine with empty disks, and leave nothing of it."""
    with powered(directory, kind, osds) as (store, disks):
        options = ["--pool", codec, "--osds", str(osds), "--workers", str(workers)]
        server = CrashServer(store, *options)
        load = Load(server.port, KEY, seed)
        try:
            yield Machine(server, disks, load, random.Random(seed))
        finally:
            await server.close()


@pytest.mark.parametrize(
    ("kind", "codec", "osds", "cuts", "workers"),
    [("ext4", "replica:3", 3, 12, 2), ("xfs", "ec:2+1", 4, 8, 1)],
)
async def test_power_cuts_under_load_lose_nothing(
    tmp_path: Path, kind: str, codec: str, osds: int, cuts: int, workers: int
) -> None:
    async with machine(tmp_path, kind, codec, osds, seed=cuts, workers=workers) as cut:
        await cut.cut_again_and_again(cuts)
        await cut.cut_and_lose_metadata()
        await cut.is_whole()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_five_hundred_power_cuts_under_load_lose_nothing(tmp_path: Path, seed: int) -> None:
    kind, codec = ("ext4", "xfs")[seed % 2], ("replica:3", "ec:4+2", "ec:2+1")[seed % 3]
    osds = {"replica:3": 4, "ec:4+2": 7, "ec:2+1": 3}[codec]
    async with machine(tmp_path, kind, codec, osds, seed) as cut:
        await cut.cut_again_and_again(50)
        await cut.cut_and_lose_metadata()
        await cut.is_whole()
