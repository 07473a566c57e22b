"""Spans of OpenTelemetry, from a real server to a collector that this test is."""

from __future__ import annotations

import http.client
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from s3server.admin.quickstart import prepare
from s3server.config import ConfigError
from tests.support.server_process import run_server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Takes what is posted to /v1/traces."""

    def __init__(self) -> None:
        self.posted: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Receiver)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415
            ExportTraceServiceRequest,
        )

        return [
            span
            for body in self.posted
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            raise AssertionError("not asked for")
        if self.path == "/v1/traces":
            self.server.posted.append(body)
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs s3server[otel]")
    with Collector() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def get(url: str, traceparent: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=60)
    headers = {"traceparent": traceparent} if traceparent else {}
    connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["x-amz-request-id"]


def test_a_request_is_a_span_of_its_clients_trace(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3SERVER_TELEMETRY__OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("S3SERVER_TELEMETRY__SAMPLE_SHARE", "0")
    with run_server(tmp_path / "store") as server:
        s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
            config=Config(s3={"addressing_style": "path"}),
        )
        s3.create_bucket(Bucket="traced")
        s3.put_object(Bucket="traced", Key="key", Body=b"12345")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "traced", "Key": "key"})
        s3.close()
        status, request_id = get(url, f"00-{TRACE}-{PARENT}-01")
        assert status == 200
        for unsampled in ("", f"00-{TRACE}-{PARENT}-00", "nonsense", "00-00-00-01"):
            assert get(url, unsampled)[0] == 200

    (span,) = collector.spans()  # a stop sends what there is
    attributes = {
        each.key: each.value.string_value or each.value.int_value for each in span.attributes
    }
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.name == "GetObject"
    assert span.end_time_unix_nano > span.start_time_unix_nano
    assert {
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "aws.s3.bucket": "traced",
        "aws.s3.key": "key",
        "aws.request_id": request_id,
    }.items() <= attributes.items()
    assert server.secret_key.encode() not in b"".join(collector.posted)
    assert b"Signature" not in b"".join(collector.posted)


def test_the_setting_without_the_libraries_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setenv("S3SERVER_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:4318")

    with pytest.raises(ConfigError, match=r"otlp_endpoint.*pip install 's3server\[otel\]'"):
        prepare(tmp_path / "store", osds=None, codec=None, server={})()
