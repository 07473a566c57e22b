"""The metadata directory is lost under load: restoring gives back every acknowledged write."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.test_journal_follows_map import newest_on
from tests.crash.test_kill import CLIENTS, is_whole_and_tight, working
from tests.support.commands import Ran, command, run_command
from tests.support.crash_check import check_everything
from tests.support.crash_load import Load
from tests.support.crash_server import KEY, CrashServer, until
from tests.support.server_process import ROOT


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CrashServer]:
    server = CrashServer(tmp_path / "store")
    yield server
    await server.close()


async def run(*arguments: str) -> Ran:
    return await asyncio.to_thread(run_command, *arguments)


def start(*arguments: str) -> tuple[int, str]:
    """Run a command that is to refuse to serve; return exit status and errors."""
    line = [sys.executable, "-m", "s3server", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


async def done(*arguments: str, on: CrashServer) -> Any:
    return await asyncio.to_thread(command, on.directory, *arguments)


async def killed_under_load(server: CrashServer, seed: int, rounds: int) -> Load:
    """Let clients work and kill all processes, again and again; a snapshot is taken on the way."""
    load, chance = Load(server.port, KEY, seed), random.Random(seed)
    await server.start()
    await load.create_buckets()
    for number in range(rounds):
        load.round = number
        if number:
            await server.start()
        async with working(load):
            if not number:
                await until(lambda: CLIENTS < load.journal.acknowledged)
            await asyncio.sleep(chance.uniform(0.3, 1.0))
            if number % 2 == 0:
                await done("meta", "snapshot", on=server)
            await asyncio.sleep(chance.uniform(0.3, 1.0))
            await server.kill()
    return load


async def restored(server: CrashServer, *options: str) -> Any:
    return await done("meta", "restore", *options, on=server)


async def is_all_there(server: CrashServer, load: Load) -> None:
    await server.start()
    await check_everything(load)
    assert [] == load.problems
    assert CLIENTS < load.journal.acknowledged


async def test_restore_gives_back_every_acknowledged_write_though_one_osd_lost_its_journals(
    server: CrashServer,
) -> None:
    """With all journals there: tests/crash/test_power_cut.py."""
    load = await killed_under_load(server, seed=13, rounds=3)
    shutil.rmtree(server.directory / "meta")
    for file in (server.directory / "osd.2" / "journal").iterdir():
        file.unlink()
    await restored(server)
    await is_all_there(server, load)
    await is_whole_and_tight(server, load)


async def test_server_does_not_begin_anew_over_osds_that_hold_a_store(
    server: CrashServer, tmp_path: Path
) -> None:
    await server.start()
    await server.stop()
    shutil.rmtree(server.directory / "meta")
    status, errors = start("quickstart", str(server.directory), "--listen", "127.0.0.1:0")
    assert status == 7
    assert "s3server meta restore" in errors
    assert not (server.directory / "meta").exists()
    settings = server.directory / "s3server.toml"
    status, errors = start("serve", "--config", str(settings))
    assert status == 7
    assert "s3server meta restore" in errors
    settings.unlink()
    status, errors = start("quickstart", str(server.directory), "--listen", "127.0.0.1:0")
    assert status == 3
    assert "s3server.toml is missing" in errors
    assert not settings.exists()


async def test_restore_refuses_what_is_live_or_there_and_moves_aside_when_forced(
    server: CrashServer,
) -> None:
    await server.start()
    ran = await run("meta", "restore", "--force", "--dir", str(server.directory))
    assert (7, True) == (ran.status, "in use" in ran.err)
    await server.stop()
    ran = await run("meta", "restore", "--dir", str(server.directory))
    assert (6, True) == (ran.status, "--force" in ran.err)
    found = await restored(server, "--force")
    assert found["aside"] == str(server.directory / "meta.aside-1")
    assert (server.directory / "meta.aside-1" / "data.mdb").exists()


async def test_restore_finds_osds_that_were_added_at_run_time_and_refuses_without_them(
    server: CrashServer,
) -> None:
    """The journal has moved to them; the settings know none of them."""
    await server.start()
    for osd in (3, 4, 5):
        last = ["--now"] if osd == 5 else []
        await done("osd", "add", str(server.directory / f"osd.{osd}"), *last, on=server)
    for osd in (0, 1, 2):
        last = ["--now"] if osd == 2 else []
        await done("osd", "out", str(osd), *last, on=server)
    load = Load(server.port, KEY, seed=5)
    await load.create_buckets()
    async with working(load):
        await until(lambda: newest_on(server.directory) == {3, 4, 5})
        before = load.journal.acknowledged
        await until(lambda: load.journal.acknowledged > before + 50)
        await server.kill()
    shutil.rmtree(server.directory / "meta")
    for osd in (4, 5):
        os.rename(server.directory / f"osd.{osd}", server.directory / f"moved.{osd}")
    ran = await run("meta", "restore", "--dir", str(server.directory))
    assert (7, True) == (ran.status, "[4, 5]" in ran.err)
    assert not (server.directory / "meta").exists()
    moved = [f"--osd={server.directory}/moved.{osd}" for osd in (4, 5)]
    await restored(server, *moved)
    await is_all_there(server, load)
