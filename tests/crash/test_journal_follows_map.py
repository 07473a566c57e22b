"""The journal of a real server leaves an OSD that is taken out, and no write fails."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from tests.support.commands import command
from tests.support.server_process import RunningServer, run_server

FOLLOWED_WITHIN_S = 60


def client_of(server: RunningServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=ClientConfig(retries={"max_attempts": 0}),
    )


def newest_on(directory: Path) -> set[int]:
    """Return the OSDs that have a copy of the newest segment."""
    found = list(directory.glob("osd.*/journal/*.log"))
    newest = max(path.name for path in found)
    return {int(path.parts[-3].removeprefix("osd.")) for path in found if path.name == newest}


def test_journal_leaves_an_osd_that_goes_out_and_no_write_fails(tmp_path: Path) -> None:
    with run_server(tmp_path / "store", "--osds", "4", "--pool", "replica:3") as server:
        client_of(server).create_bucket(Bucket="bucket")
        stored, stop = [0], threading.Event()

        def load_it() -> None:
            mine = client_of(server)
            while not stop.is_set():
                mine.put_object(Bucket="bucket", Key=f"{stored[0]:06}", Body=b"%d" % stored[0])
                stored[0] += 1

        loader = threading.Thread(target=load_it)
        loader.start()
        try:
            before = newest_on(server.directory)
            leaving = min(before)
            command(server.directory, "osd", "out", str(leaving), "--now")
            deadline = time.monotonic() + FOLLOWED_WITHIN_S
            while newest_on(server.directory) != {0, 1, 2, 3} - {leaving}:
                assert time.monotonic() < deadline, newest_on(server.directory)
                stop.wait(0.05)
            reached = stored[0]
            while stored[0] < reached + 20 and loader.is_alive():
                stop.wait(0.05)
        finally:
            stop.set()
            loader.join()
        assert len(before) == 3
        assert stored[0] >= reached + 20, "a write failed"
        command(server.directory, "meta", "verify")
