"""A real server loses an OSD directory under load: all is whole again on the others."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from s3server.admin.status import status_of
from s3server.cluster.changes import Change
from s3server.cluster.maps import ClusterMaps
from s3server.core.clock import SystemClock
from s3server.metadata import open_metadata
from s3server.settings import load
from s3server.standing import awaited
from tests.support.server_process import RunningServer, run_server

HEALED_WITHIN_S = 240
SIZES = (1_000, 70_000, 300_000, 1_100_000)
FEW = 16  # objects before the loss, and after it


def client_of(server: RunningServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=ClientConfig(retries={"max_attempts": 8, "mode": "standard"}),
    )


def body_of(key: str) -> bytes:
    number = int(key)
    return hashlib.sha256(key.encode()).digest() * (SIZES[number % len(SIZES)] // 32)


def mark_out(directory: Path, osd: int) -> None:
    """Mark an OSD out beside the running server."""

    async def change() -> None:
        meta = await open_metadata(load(directory / "s3server.toml"))
        try:
            await ClusterMaps(meta, SystemClock()).change(Change("out", osd))
        finally:
            await meta.close()

    asyncio.run(change())


def test_osd_lost_under_load_is_made_good_and_every_byte_is_there(tmp_path: Path) -> None:
    with run_server(tmp_path / "store", "--osds", "4", "--pool", "replica:3") as server:
        client = client_of(server)
        client.create_bucket(Bucket="bucket")
        stored: list[str] = []
        stop = threading.Event()

        def load_it() -> None:
            mine = client_of(server)
            while not stop.is_set():
                key = f"{len(stored):06}"
                mine.put_object(Bucket="bucket", Key=key, Body=body_of(key))
                stored.append(key)

        loader = threading.Thread(target=load_it)
        loader.start()
        try:
            while len(stored) < FEW and loader.is_alive():
                stop.wait(0.05)
            (server.directory / "osd.1").rename(tmp_path / "taken")
            mark_out(server.directory, 1)
            lost_at = len(stored)
            while len(stored) < lost_at + FEW and loader.is_alive():
                stop.wait(0.05)
        finally:
            stop.set()
            loader.join()
        assert len(stored) >= lost_at + FEW, "writes stopped"
        stop.clear()
        deadline = time.monotonic() + HEALED_WITHIN_S
        config = load(server.directory / "s3server.toml")
        while awaited(status := asyncio.run(status_of(config))):
            assert time.monotonic() < deadline, status
            stop.wait(0.2)
        assert {osd["osd"]: osd["state"] for osd in status["osds"]}[1] == "missing"
        (server.directory / "osd.2").rename(tmp_path / "taken too")  # two copies are left of each
        for key in stored:
            assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == body_of(key)
        (tmp_path / "taken too").rename(server.directory / "osd.2")
