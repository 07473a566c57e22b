"""A server that runs follows what the commands change."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from msgspec.structs import replace

from s3server.cluster.map_record import MAP_KEY, MapRecord
from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.records import decode, encode
from s3server.meta.base import Put
from s3server.metadata import open_metadata
from s3server.settings import load
from tests.support.blobs import pattern
from tests.support.commands import command, run_command
from tests.support.server_process import RunningServer, run_server

FOLLOWED_S = 60  # far beyond the second that it takes
SIZES = (0, 700, 60_000, 300_000, 2_500_000)
DRAINED_S = 240


def refusal(directory: Path, *arguments: str) -> str:
    """Run a command that is refused, and return why."""
    ran = run_command(*arguments, "--dir", str(directory))
    assert 1 == ran.status
    return ran.err


def client(server: RunningServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=ClientConfig(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def osds_of(server: RunningServer, key: str) -> set[int]:
    found = command(server.directory, "placement", "explain", f"s3://data/{key}")
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


def assert_all_is_there(s3: Any, stored: dict[str, bytes]) -> None:
    for key, data in stored.items():
        assert data == s3.get_object(Bucket="data", Key=key)["Body"].read(), key


def pretend_drained_long_ago(server: RunningServer, osd: int) -> None:
    """Set back since when an OSD is away from placement: nobody wants to wait for 15 minutes."""

    async def change() -> None:
        meta = await open_metadata(load(server.directory / "s3server.toml"))
        row = await meta.get(MAP_KEY)
        assert row is not None
        record = decode(MapRecord, row)
        osds = tuple(
            replace(each, since_ms=each.since_ms - ADOPT_WITHIN_MS) if each.id == osd else each
            for each in record.osds
        )
        await meta.commit([Put(MAP_KEY, encode(replace(record, osds=osds)))])
        await meta.close()

    asyncio.run(change())


def held_by(server: RunningServer, osd: int) -> int:
    (shards,) = [
        row["shards"] for row in command(server.directory, "osd", "status") if row["osd"] == osd
    ]
    return int(shards)


def add_and_use(server: RunningServer, s3: Any, stored: dict[str, bytes]) -> None:
    """Add OSD 3, of most of the weight, and see that it is used; say what its loss would do."""
    assert {0, 1, 2} == osds_of(server, "old")
    foretold = command(server.directory, "placement", "what-if", "--add", "osd.3:weight=8")
    added = command(
        server.directory, "osd", "add", str(server.directory / "osd.3"), "--weight", "8"
    )
    assert (foretold["move_bytes"], foretold["safe"]) == (added["move_bytes"], 1)
    command(server.directory, "placement", "apply", "--epoch", str(added["next_epoch"]))
    last = put_until_on(server, s3, 3)
    stored.update({f"new{number}": bytes(100_000) for number in range(last + 1)})
    assert 3 in osds_of(server, f"new{last}")
    lost = command(server.directory, "placement", "what-if", "--fail", "osd.3")
    assert 0 < lost["degraded"] <= last + 2  # the old one may have been moved there
    assert 0 == lost["unreadable"]
    rows = command(server.directory, "osd", "status")
    assert ["up", "up", "up", "up"] == [row["health"].replace("nearfull", "up") for row in rows]


def drain_and_remove(server: RunningServer) -> None:
    """Take OSD 3 out of the map; refused while it is in use, holds shards, or may get some."""
    assert "is in use: drain it first" in refusal(server.directory, "osd", "remove", "3")
    command(server.directory, "osd", "drain", "3", "--now")
    deadline = time.monotonic() + DRAINED_S
    while held_by(server, 3):
        assert time.monotonic() < deadline, "it is not emptied"
    assert "try again in" in refusal(server.directory, "osd", "remove", "3", "--now")
    pretend_drained_long_ago(server, 3)
    command(server.directory, "osd", "remove", "3", "--now")
    assert [0, 1, 2] == [row["osd"] for row in command(server.directory, "osd", "list")]


def test_osd_is_added_used_drained_removed_and_taken_away_and_every_byte_stays(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "store"
    stored = {"old": bytes(100_000)}
    with run_server(directory) as server:
        s3 = client(server)
        s3.create_bucket(Bucket="data")
        s3.put_object(Bucket="data", Key="old", Body=stored["old"])
        add_and_use(server, s3, stored)
        for number in range(10):
            stored[f"k{number}"] = pattern(SIZES[number % len(SIZES)], number)
            s3.put_object(Bucket="data", Key=f"k{number}", Body=stored[f"k{number}"])
        drain_and_remove(server)
        (directory / "osd.3").rename(tmp_path / "taken")
        assert_all_is_there(s3, stored)
        stored["last"] = pattern(300_000, 99)
        s3.put_object(Bucket="data", Key="last", Body=stored["last"])
    with run_server(directory) as server:
        s3 = client(server)
        assert_all_is_there(s3, stored)
        assert {0, 1, 2} == osds_of(server, "last")
        assert not (directory / "osd.3").exists()
        assert 0 == command(server.directory, "verify", "--deep")["problem_count"]
        added = command(server.directory, "osd", "add", str(directory / "other"), "--now")
        assert 4 == added["osd"], "a number that an OSD had was used again"
        assert 4 == len(command(server.directory, "osd", "list"))
        assert_all_is_there(s3, stored)
