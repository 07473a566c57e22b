"""A server that runs follows what the commands change."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig

from tests.support.server_process import ROOT, RunningServer, run_server

FOLLOWED_S = 20  # far beyond the second that it takes


def command(server: RunningServer, *arguments: str) -> Any:
    """Run a command of its own process on the store, and return what it prints."""
    line = [sys.executable, "-m", "s3server", *arguments, "--dir", str(server.directory), "--json"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def client(server: RunningServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=ClientConfig(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtime") / "store"


def osds_of(server: RunningServer, key: str) -> set[int]:
    found = command(server, "placement", "explain", f"s3://data/{key}")
    (blob,) = found["blobs"]
    assert {"ok"} == {shard["state"] for shard in blob["shards"]}
    return {shard["osd"] for shard in blob["shards"]}


def put_until_on(server: RunningServer, s3: Any, osd: int) -> int:
    """Put objects until one is on this OSD; return how many it took."""
    shards = server.directory / f"osd.{osd}" / "shards"
    deadline = time.monotonic() + FOLLOWED_S
    for number in range(10_000):
        s3.put_object(Bucket="data", Key=f"new{number}", Body=bytes(100_000))
        if list(shards.glob("*/*.*")):
            return number
        assert time.monotonic() < deadline, "no object came to the new OSD"
    raise AssertionError("time stands still")


def test_osd_that_is_added_comes_into_use_while_the_server_runs(directory: Path) -> None:
    with run_server(directory) as server:
        s3 = client(server)
        s3.create_bucket(Bucket="data")
        s3.put_object(Bucket="data", Key="old", Body=bytes(100_000))
        assert {0, 1, 2} == osds_of(server, "old")

        foretold = command(server, "placement", "what-if", "--add", "osd.3:weight=8")
        added = command(server, "osd", "add", str(directory / "osd.3"), "--weight", "8")
        assert (foretold["move_bytes"], foretold["safe"]) == (added["move_bytes"], 1)
        command(server, "placement", "apply", "--epoch", str(added["next_epoch"]))
        last = put_until_on(server, s3, 3)

        assert 3 in osds_of(server, f"new{last}")
        lost = command(server, "placement", "what-if", "--fail", "osd.3")
        assert 0 < lost["degraded"] <= last + 2  # the old one may have been moved there
        assert 0 == lost["unreadable"]
        rows = command(server, "osd", "status")
        assert ["up", "up", "up", "up"] == [row["health"].replace("nearfull", "up") for row in rows]
        assert bytes(100_000) == s3.get_object(Bucket="data", Key="old")["Body"].read()
