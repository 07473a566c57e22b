"""Access logs on a real server: written by its workers, delivered by its jobs process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.server_process import RunningServer, run_server

WAIT_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_JOBS__ACCESS_LOG_S", "1")
        with run_server(tmp_path_factory.mktemp("logged") / "store") as running:
            yield running


@pytest.fixture(scope="module")
def s3(server: RunningServer) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )
    client.create_bucket(Bucket="logged")
    client.create_bucket(Bucket="logs")
    client.put_bucket_logging(
        Bucket="logged",
        BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "a/"}},
    )
    return client


def lines_until(s3: Any, wanted: set[str]) -> list[str]:
    """Return all delivered lines once each of the request ids is in one."""
    deadline = time.monotonic() + WAIT_S
    while True:
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket="logs").get("Contents", ())]
        bodies = [s3.get_object(Bucket="logs", Key=key)["Body"].read().decode() for key in keys]
        lines = [line for body in bodies for line in body.splitlines()]
        missing = wanted - {line.split("] ")[1].split()[2] for line in lines}
        if not missing:
            return lines
        assert time.monotonic() < deadline, f"no lines of {missing}"
        time.sleep(0.2)


def request_id(answer: dict[str, Any]) -> str:
    found: str = answer["ResponseMetadata"]["RequestId"]
    return found


def test_requests_are_in_the_log_once(s3: Any) -> None:
    body = b"x" * 3_000_000
    ids = [request_id(s3.put_object(Bucket="logged", Key="large", Body=body))]
    got = s3.get_object(Bucket="logged", Key="large")
    assert got["Body"].read() == body
    ids.append(request_id(got))
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="logged", Key="none")
    ids.append(request_id(refused.value.response))
    lines = [line for line in lines_until(s3, set(ids)) if any(each in line for each in ids)]
    put, read, none = sorted(lines, key=lambda line: ids.index(line.split("] ")[1].split()[2]))
    assert "REST.PUT.OBJECT large" in put
    assert '"GET /logged/large HTTP/1.1" 200 - 3000000 3000000' in read
    assert '"GET /logged/none HTTP/1.1" 404 NoSuchKey' in none


def test_process_that_is_killed_takes_no_line_with_it(server: RunningServer, s3: Any) -> None:
    state = json.loads((server.directory / "meta.server.json").read_text())
    ids = set()
    for number in range(30):
        ids.add(request_id(s3.put_object(Bucket="logged", Key=str(number), Body=b"x")))
        ids.add(request_id(s3.get_object(Bucket="logged", Key=str(number))))
    # The line of a request follows its answer, and is there before the connection's next answer.
    s3.head_bucket(Bucket="logs")
    for pid in [*state["workers"].values(), state["jobs"]]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    lines_until(s3, ids)
