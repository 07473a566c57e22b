"""What a real server tells its operator: two workers, real clients, nothing taken on trust."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from s3server.metrics.families import FAMILIES
from tests.support.server_process import RunningServer, run_server

KEY = "a key/ä"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_LOG__REQUESTS", "all")
        patch.setenv("S3SERVER_SERVER__METRICS_LARGEST", "5")
        with run_server(tmp_path_factory.mktemp("telemetry") / "store") as running:
            yield running


@pytest.fixture(scope="module")
def s3(server: RunningServer) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="seen")
    yield client
    client.close()


def lines_of(server: RunningServer) -> list[dict[str, Any]]:
    """Return the log; every line of it is JSON."""
    log = server.directory.parent / f"{server.directory.name}.log"
    return [json.loads(line) for line in log.read_text().splitlines()]


def line(server: RunningServer, request_id: str) -> dict[str, Any]:
    """Return the one line of a request; it was written before its answer's end, or just after."""
    while True:  # pytest's own time limit ends it
        found = [each for each in lines_of(server) if each.get("request_id") == request_id]
        if found:
            assert len(found) == 1
            return found[0]


def test_an_error_of_a_client_leads_to_its_line(server: RunningServer, s3: Any) -> None:
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket="seen", Key=KEY)

    found = line(server, raised.value.response["ResponseMetadata"]["RequestId"])

    assert {
        "event": "request",
        "level": "info",
        "method": "GET",
        "operation": "GetObject",
        "bucket": "seen",
        "key": KEY,
        "status": 404,
        "code": "NoSuchKey",
        "reason": "The specified key does not exist.",
        "client": "127.0.0.1",
        "user": "root",
        "access_key": server.access_key,
    }.items() <= found.items()
    assert 0 < found["first_byte_ms"] <= found["total_ms"]
    assert found["process"].startswith("worker-")


def test_every_way_of_answering_has_a_line(server: RunningServer, s3: Any) -> None:
    put = s3.put_object(Bucket="seen", Key="small", Body=b"x" * 4096)
    head = s3.head_object(Bucket="seen", Key="small")
    short = s3.get_object(Bucket="seen", Key="small")
    short["Body"].read()
    range_ = s3.get_object(Bucket="seen", Key="small", Range="bytes=0-9")
    range_["Body"].read()
    found = [
        line(server, answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"])
        for answer in (put, head, short, range_)
    ]

    fields = ("operation", "status", "received", "sent")
    assert [tuple(each.get(name, 0) for name in fields) for each in found] == [
        ("PutObject", 200, found[0]["received"], 0),
        ("HeadObject", 200, 0, 0),
        ("GetObject", 200, 0, 4096),
        ("GetObject", 206, 0, 10),
    ]
    assert found[0]["received"] >= 4096


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400, "BadRequest"),
        (b"GET /a HTTP/1.1\r\n\r\n", 400, "BadRequest"),
        (b"GET /seen/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
        (b"GET /seen/x HTTP/1.1\r\nHost: x\r\n\r\n", 403, "AccessDenied"),
    ],
)
def test_what_is_no_request_has_a_line_too(
    server: RunningServer, s3: Any, sent: bytes, status: int, code: str
) -> None:
    with socket.create_connection(address(server), timeout=60) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = ET.fromstring(answer.read())
    request_id = answer.headers["x-amz-request-id"]
    assert body.findtext("RequestId") == request_id

    found = line(server, request_id)

    assert (found["status"], found["code"], found["client"]) == (status, code, "127.0.0.1")


def test_no_secret_and_no_signature_is_in_the_log(server: RunningServer, s3: Any) -> None:
    for name, key in (("get_object", "small"), ("get_object", "missing")):
        url = urlsplit(s3.generate_presigned_url(name, Params={"Bucket": "seen", "Key": key}))
        connection = http.client.HTTPConnection(*address(server), timeout=60)
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        answer.read()
        line(server, answer.headers["x-amz-request-id"])
        connection.close()
    text = json.dumps(lines_of(server))
    assert not re.search(r"[Ss]ignature=|X-Amz-|AWS4-HMAC", text)
    assert server.secret_key not in text


def address(server: RunningServer) -> tuple[str, int]:
    url = urlsplit(server.endpoint)
    return url.hostname or "", url.port or 0


def test_metrics_are_the_same_at_every_worker_and_count_every_request(
    server: RunningServer, s3: Any
) -> None:
    gets = ("s3server_requests_total", {"operation": "GetObject", "status": "200"})
    bytes_ = ("s3server_sent_bytes_total", {"operation": "GetObject"})
    s3.put_object(Bucket="seen", Key="counted", Body=b"x" * 1000)
    first = s3.get_object(Bucket="seen", Key="counted")  # from now on there is a count
    first["Body"].read()
    line(server, first["ResponseMetadata"]["RequestId"])
    before = metrics(server)
    for _ in range(20):
        s3.get_object(Bucket="seen", Key="counted")["Body"].read()
    with pytest.raises(ClientError) as raised:
        s3.head_bucket(Bucket="none")
    line(server, raised.value.response["ResponseMetadata"]["RequestId"])  # counted before
    found = [metrics(server) for _ in range(8)]  # each on a connection of its own
    assert [20] * 8 == [value(one, *gets) - value(before, *gets) for one in found]
    assert [20_000] * 8 == [value(one, *bytes_) - value(before, *bytes_) for one in found]
    took = "s3server_request_duration_seconds_"
    operation = {"operation": "GetObject"}
    count = value(found[0], f"{took}count", operation)
    assert count == value(found[0], f"{took}bucket", operation | {"le": "+Inf"})
    assert 0 < value(found[0], f"{took}sum", operation) < 60
    assert value(found[0], "s3server_errors_total", {"code": "NoSuchBucket"}) >= 1


def test_metrics_tell_of_the_store(server: RunningServer, s3: Any) -> None:
    found = metrics(server)
    states = [dict(labels)["state"] for name, labels in found if name == "s3server_osd_state"]
    assert ["in"] * 3 == states
    assert 0 == value(found, "s3server_repair_queue", {"kind": "degraded"})
    assert 0 < value(found, "s3server_osd_free_bytes", {"osd": "0"})
    assert 0 < value(found, "s3server_osd_journal_bytes", {"osd": "0"})
    age_s = datetime.now(UTC).timestamp() - value(found, "s3server_snapshot_timestamp_seconds", {})
    assert 0 <= age_s < 3_600


@contextmanager
def command(server: RunningServer, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "s3server", *arguments, "--dir", str(server.directory)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_trace_shows_requests_of_all_workers_and_only_those_asked_for(
    server: RunningServer, s3: Any
) -> None:
    s3.put_object(Bucket="seen", Key="traced", Body=b"x" * 100)
    asked = ("--bucket", "seen", "--operation", "GetObject", "--status", "200")
    found: list[dict[str, Any]] = []
    sent: set[str] = set()
    with command(server, "trace", *asked, "--json") as tracing, ExitStack() as held:
        assert tracing.stdout is not None
        assert tracing.stderr is not None
        assert tracing.stderr.readline().startswith("listening")
        lines = (each for each in tracing.stdout if each.endswith("\n"))
        reader = threading.Thread(target=lambda: found.extend(map(json.loads, lines)))
        reader.start()
        # Workers share out connections that are open, and begin to tell within a second each.
        connections = [http.client.HTTPConnection(*address(server), timeout=60) for _ in range(16)]
        for connection in connections:
            held.callback(connection.close)
        while {each["process"] for each in found} != {"worker-0", "worker-1"}:
            with pytest.raises(ClientError):
                s3.get_object(Bucket="seen", Key="missing")
            for connection in connections:
                connection.request("GET", signed(s3, "traced"))
                answer = connection.getresponse()
                assert len(answer.read()) == 100
                sent.add(answer.headers["x-amz-request-id"])
        tracing.kill()
        reader.join()
    assert {each["request_id"] for each in found} <= sent
    assert {(each["key"], each["sent"], each["status"]) for each in found} == {("traced", 100, 200)}


def test_trace_ends_after_as_many_as_were_asked_for(server: RunningServer, s3: Any) -> None:
    with command(server, "trace", "--json", "--count", "3") as tracing:
        while tracing.poll() is None:
            s3.head_bucket(Bucket="seen")
        assert (tracing.wait(), len((tracing.stdout or io.StringIO()).readlines())) == (0, 3)


def signed(s3: Any, key: str) -> str:
    url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": "seen", "Key": key}))
    return f"{url.path}?{url.query}"


def test_trace_for_people_escapes_what_could_drive_their_terminal(
    server: RunningServer, s3: Any
) -> None:
    s3.put_object(Bucket="seen", Key="bell\x07\x1b[2J", Body=b"")
    with command(server, "trace", "--operation", "HeadObject", "--count", "1") as tracing:
        while tracing.poll() is None:
            s3.head_object(Bucket="seen", Key="bell\x07\x1b[2J")
        shown = (tracing.stdout or io.StringIO()).read()
    assert r"seen/bell\x07\x1b[2J" in shown


def test_top_shows_what_happens_now(server: RunningServer, s3: Any) -> None:
    s3.put_object(Bucket="seen", Key="top", Body=b"x" * 1000)
    # Long enough for some of each, however busy the machine is.
    with command(server, "top", "--once", "--json", "--every", "4") as looking:
        while looking.poll() is None:
            s3.get_object(Bucket="seen", Key="top")["Body"].read()
            with pytest.raises(ClientError):
                s3.get_object(Bucket="seen", Key="missing")
        found = json.loads((looking.stdout or io.StringIO()).read())
    operations = {row["operation"]: row for row in found["operations"]}
    get = operations["GetObject"]
    assert get["per_s"] > get["failed_per_s"] > 0
    assert 0 < get["p50_ms"] <= get["p99_ms"]
    assert get["sent_mib_s"] >= 0
    assert found["buckets"][0]["bucket"] == "seen"
    assert found["errors_per_s"].keys() == {"NoSuchKey"}
    assert found["health"] == "OK" or "full" in found["health"]  # this disk may be
    assert ["in"] * 3 == [osd["state"] for osd in found["osds"]]


def test_top_in_a_pipe_tells_its_figures_again_and_again(server: RunningServer) -> None:
    with command(server, "top", "--every", "0.1") as looking:
        heads = [line for line in islice(looking.stdout or (), 60) if "requests/s" in line]
    assert len(heads) > 1


def test_every_metric_of_the_reference_is_told_in_a_form_that_prometheus_likes(
    server: RunningServer, s3: Any
) -> None:
    text = exposition(server)
    told = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    assert sorted(told) == sorted((each.shown, each.kind) for each in FAMILIES)
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.stdout + done.stderr, done.returncode) == ("", 0)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics(server: RunningServer) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for each in text_string_to_metric_families(exposition(server))
        for sample in each.samples
    }


def exposition(server: RunningServer) -> str:
    connection = http.client.HTTPConnection(*address(server), timeout=60)
    connection.request("GET", "/-/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def value(samples: Samples, name: str, labels: dict[str, str]) -> float:
    return samples[name, frozenset(labels.items())]
