"""Projects on a real server: quotas under load, figures that survive kill -9, and the commands."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from s3server.admin import cli
from s3server.process import state
from tests.support.server_process import RunningServer, run_server
from tests.support.signing import Key, sign

pytestmark = pytest.mark.clients

Cli = Callable[..., Any]
WAIT_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(tmp_path_factory.mktemp("projects") / "store") as running:
        yield running


@pytest.fixture
def run(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command on the store of the server; return what it prints as JSON."""

    def run_command(*arguments: str) -> Any:
        capsys.readouterr()
        status = cli.run([*arguments, "--json", "--dir", str(server.directory)])
        out = capsys.readouterr().out
        assert status == 0, (arguments, out)
        return json.loads(out)

    return run_command


def client(server: RunningServer, access_key: str, secret_key: str, **options: Any) -> Any:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=64, **options)
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )


def member_of(run: Cli, server: RunningServer, project: str) -> Any:
    """Return a client of a new project's only user."""
    run("project", "create", project)
    run("user", "create", "alice", "--project", project)
    key = run("key", "create", "alice", "--project", project)
    return client(server, key["access_key"], key["secret_key"])


def code_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_64_writers_to_two_workers_fill_a_quota_to_the_last_object_that_fits(
    run: Cli, server: RunningServer
) -> None:
    s3 = member_of(run, server, "crowd")
    s3.create_bucket(Bucket="crowd")
    run("quota", "set", "--project", "crowd", "--bytes", "100500")
    body = bytes(1_000)
    with ThreadPoolExecutor(64) as threads:
        codes = list(
            threads.map(
                lambda n: code_of(lambda: s3.put_object(Bucket="crowd", Key=f"{n}", Body=body)),
                range(192),
            )
        )
    assert Counter(codes) == {"": 100, "QuotaExceeded": 92}
    shown = run("quota", "show", "--project", "crowd")
    assert (shown["used_bytes"], shown["bytes"]) == (100_000, 100_500)


def test_upload_that_does_not_fit_is_refused_before_its_body_is_sent(
    run: Cli, server: RunningServer
) -> None:
    run("project", "create", "early")
    run("user", "create", "alice", "--project", "early")
    made = run("key", "create", "alice", "--project", "early")
    s3 = client(server, made["access_key"], made["secret_key"])
    s3.create_bucket(Bucket="early")
    run("quota", "set", "--bucket", "early", "--bytes", "1MB")
    key = Key(made["access_key"], made["secret_key"], server.region)
    host = server.endpoint.removeprefix("http://")
    headers = {"host": host, "content-length": str(10**9), "expect": "100-continue"}
    url = f"{server.endpoint}/early/key"
    at = datetime.now(UTC)
    signed = sign("PUT", url, headers, key=key, at=at, payload="UNSIGNED-PAYLOAD")
    headers = signed.headers
    connection = http.client.HTTPConnection(host, timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.putrequest("PUT", "/early/key", skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, b"<Code>QuotaExceeded</Code>" in answer.read()) == (403, True)


def test_two_workers_keep_one_rate_together(run: Cli, server: RunningServer) -> None:
    member_of(run, server, "rated")
    key = run("key", "create", "alice", "--project", "rated")
    run("project", "limit", "rated", "--requests-per-second", "20")
    clients = [client(server, key["access_key"], key["secret_key"]) for _ in range(16)]
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda n: code_of(clients[n % 16].list_buckets), range(200)))
    passed_s = time.monotonic() - began
    let_through = codes.count("")
    assert set(codes) <= {"", "SlowDown"}
    # A second's worth may come at once. Of two limits, one for each worker, it would be twice that.
    assert 20 <= let_through <= 20 + 20 * passed_s + 1
    if passed_s < 0.9:
        assert codes.count("SlowDown") > 100


def test_project_is_disabled_and_renewed_while_the_server_runs(
    run: Cli, server: RunningServer
) -> None:
    s3 = member_of(run, server, "ends")
    s3.create_bucket(Bucket="ends")
    run("project", "disable", "ends")
    assert code_of(s3.list_buckets) == "AccountProblem"
    run("project", "renew", "ends", "--end", "2999-12-31")
    assert code_of(s3.list_buckets) == ""


def test_requests_that_were_answered_are_counted_whatever_is_killed(
    run: Cli, server: RunningServer
) -> None:
    s3 = member_of(run, server, "kills")
    s3.create_bucket(Bucket="kills")
    s3.put_object(Bucket="kills", Key="key", Body=bytes(1_000))
    answered = 2
    for victim in ("worker", "jobs", "worker"):
        for _ in range(20):
            with contextlib.suppress(Exception):
                assert len(s3.get_object(Bucket="kills", Key="key")["Body"].read()) == 1_000
                answered += 1
        running = state.read(server.directory / "meta")
        pid = running["jobs"] if victim == "jobs" else next(iter(running["workers"].values()))
        os.kill(pid, signal.SIGKILL)
        _until(lambda old=pid: _is_replaced(server, old))
    used = _until(lambda: _used(run, "kills", answered))
    assert (used["requests"], used["sent"] >= (answered - 2) * 1_000) == (answered, True)
    assert used["received"] >= 1_000


def _used(run: Cli, project: str, requests: int) -> Any:
    (row,) = run("usage", "--project", project)
    return row if row["requests"] >= requests else None


def _is_replaced(server: RunningServer, pid: int) -> bool:
    running = state.read(server.directory / "meta")
    pids = [*running.get("workers", {}).values(), running.get("jobs")]
    return pid not in pids and None not in pids and len(pids) == 3


def _until(look: Callable[[], Any]) -> Any:
    """Wait for what comes about by itself."""
    deadline = time.monotonic() + WAIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found


def test_usage_tells_what_is_held_of_each_bucket_and_user(
    run: Cli, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = member_of(run, server, "held")
    s3.create_bucket(Bucket="held")
    s3.put_bucket_versioning(Bucket="held", VersioningConfiguration={"Status": "Enabled"})
    for size in (100, 20):
        s3.put_object(Bucket="held", Key="key", Body=bytes(size))
    upload = s3.create_multipart_upload(Bucket="held", Key="big")["UploadId"]
    s3.upload_part(Bucket="held", Key="big", UploadId=upload, PartNumber=1, Body=bytes(3))
    for by, name in (("bucket", "held"), ("user", "alice"), ("project", "")):
        (row,) = run("usage", "--project", "held", "--by", by)
        assert (row["name"], row["live_bytes"], row["old_bytes"], row["part_bytes"]) == (
            name, 20, 100, 3,
        )  # fmt: skip
        assert (row["objects"], row["versions"], row["uploads"]) == (1, 1, 1)
    capsys.readouterr()
    cli.run(["usage", "--project", "held", "--csv", "--dir", str(server.directory)])
    header, line = capsys.readouterr().out.splitlines()
    assert header.startswith("project,name,tb_days")
    assert line.startswith("held,,")
    run("verify")


def test_deleted_project_goes_with_all_that_it_has(
    run: Cli, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = member_of(run, server, "goes")
    s3.create_bucket(Bucket="goes")
    s3.put_object(Bucket="goes", Key="key", Body=b"x")
    run("project", "disable", "goes")
    run("project", "delete", "goes", "--yes-delete-everything", "goes")
    show = ["project", "show", "goes", "--dir", str(server.directory)]
    _until(lambda: cli.run(show) == 4)
    capsys.readouterr()
    root = client(server, server.access_key, server.secret_key)
    assert "goes" not in [bucket["Name"] for bucket in root.list_buckets()["Buckets"]]
    assert code_of(s3.list_buckets) == "InvalidAccessKeyId"


def test_metrics_tell_of_projects(run: Cli, server: RunningServer) -> None:
    run("project", "create", "measured")
    run("quota", "set", "--project", "measured", "--bytes", "5")
    with urllib.request.urlopen(f"{server.endpoint}/-/metrics", timeout=WAIT_S) as answer:
        text = answer.read().decode()
    assert 's3server_project_quota{of="bytes",project="measured"} 5.0' in text
