"""OSDs of a running server are lost while clients write and read: nobody notices but operators.

Where root, the OSDs are file systems of their own, so that they can be unmounted, made read-only
and filled.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from s3server.core import records
from tests.support.blobs import pattern
from tests.support.server_process import RunningServer, run_server
from tests.support.store_audit import stopped_store

SIZES = (700, 60_000, 300_000, 2_500_000)
PATIENCE_S = 60


class Clients:
    """Threads that put, overwrite and get objects, without retries; what they saw go wrong."""

    def __init__(self, server: RunningServer) -> None:
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket="data")
        self.acknowledged: dict[str, bytes] = {}
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(each,)) for each in range(4)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until that many more objects were acknowledged."""
        goal, end = len(self.acknowledged) + count, time.monotonic() + PATIENCE_S
        while len(self.acknowledged) < goal and not self.wrong:
            assert time.monotonic() < end, "the server does not go on"
            self._stop.wait(0.01)

    def verify(self) -> None:
        assert [] == self.wrong
        for key, data in self.acknowledged.items():
            assert data == self.client.get_object(Bucket="data", Key=key)["Body"].read(), key

    def _work(self, worker: int) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            key, size = f"{worker}/{number}", SIZES[number % len(SIZES)]
            data = pattern(size, worker * 100_000 + number)
            try:
                self.client.put_object(Bucket="data", Key=key, Body=data)
                self.acknowledged[key] = data
                found = self.client.get_object(Bucket="data", Key=f"{worker}/{number // 2}")
                if found["Body"].read() != self.acknowledged[f"{worker}/{number // 2}"]:
                    self.wrong.append(f"other bytes of {key}")
            except Exception as error:
                self.wrong.append(f"{key}: {error}")
                return


def down_osds(server: RunningServer) -> set[int]:
    with urllib.request.urlopen(f"{server.endpoint}/-/health/ready") as answer:
        found = json.load(answer)["osds"]
    return {int(osd) for osd in found["down"]} | set(found["full"])


def wait_until_down(server: RunningServer, expected: set[int]) -> None:
    end = time.monotonic() + PATIENCE_S
    while down_osds(server) != expected:
        assert time.monotonic() < end, f"{down_osds(server)} are down, not {expected}"
        threading.Event().wait(0.05)


def mount(source: str, path: Path, *options: str) -> None:
    subprocess.run(["mount", *options, source, str(path)], check=True)


@pytest.fixture
def osd(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own where OSD 1 of the store will be; skips where that cannot be."""
    path = tmp_path / "store" / "osd.1"
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    yield path
    while path.is_mount():
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def unmounted(osd: Path) -> Iterator[None]:
    away = osd.parent / "elsewhere"
    away.mkdir()
    mount(str(osd), away, "--bind")
    subprocess.run(["umount", "-l", str(osd)], check=True)
    yield
    mount(str(away), osd, "--bind")
    subprocess.run(["umount", "-l", str(away)], check=True)


@contextlib.contextmanager
def read_only(osd: Path) -> Iterator[None]:
    """Read-only before it takes its place: a mount that a server writes to is busy by then."""
    aside = osd.parent / "aside"
    aside.mkdir()
    mount(str(osd), aside, "--bind")
    subprocess.run(["mount", "-o", "remount,bind,ro", str(aside)], check=True)
    mount(str(aside), osd, "--bind")
    subprocess.run(["umount", "-l", str(aside)], check=True)
    yield
    subprocess.run(["umount", "-l", str(osd)], check=True)


@contextlib.contextmanager
def filled(osd: Path) -> Iterator[None]:
    ballast = osd / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
    yield
    ballast.unlink()


@pytest.mark.parametrize("fault", [unmounted, read_only, filled])
async def test_osd_is_lost_and_comes_back_while_clients_work(
    osd: Path, fault: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    with run_server(osd.parent, "--osds", "4") as server:
        clients = Clients(server)
        with clients:
            clients.wait_for(20)
            with fault(osd):
                clients.wait_for(20)
                wait_until_down(server, {1})
                clients.wait_for(20)
            wait_until_down(server, set())
            clients.wait_for(20)
        clients.verify()


async def test_directory_that_is_emptied_of_three_leaves_repair_rows(tmp_path: Path) -> None:
    """With three OSDs there is none to take the place of one: blobs lack a copy meanwhile."""
    directory = tmp_path / "store"
    with run_server(directory) as server:
        clients = Clients(server)
        with clients:
            clients.wait_for(12)
            (directory / "osd.2").rename(tmp_path / "away")
            (directory / "osd.2").mkdir()
            wait_until_down(server, {2})
            clients.wait_for(12)
        clients.verify()
        assert [] == list((directory / "osd.2").iterdir())
    async with stopped_store(directory / "s3server.toml") as store:
        assert await store.meta.scan(records.REPAIR, records.REPAIR + b"\xff", limit=1)
