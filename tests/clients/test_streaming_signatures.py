"""Bodies in signed and unsigned chunks: what Java's SDK and aws-c-s3 send."""

from __future__ import annotations

import base64
import http.client
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from awscrt import checksums
from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientTlsContext, TlsContextOptions
from awscrt.s3 import (
    S3ChecksumAlgorithm,
    S3ChecksumConfig,
    S3ChecksumLocation,
    S3Client,
    S3RequestTlsMode,
    S3RequestType,
    create_default_s3_signing_config,
)

from tests.support.client_tools import over_http_and_https
from tests.support.server_process import RunningServer
from tests.support.signing import SIGNED_CHUNKS, Key, sign, signed_chunks

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("sizes", [[], [100], [65_536, 65_536, 65_536, 1]], ids=sum)
def test_signed_chunks_are_stored(s3, server: RunningServer, bucket: str, sizes: list[int]) -> None:
    data = os.urandom(sum(sizes))
    assert 200 == put_chunks(server, f"/{bucket}/key", data, sizes)
    assert data == s3.get_object(Bucket=bucket, Key="key")["Body"].read()


def test_chunk_that_was_changed_on_its_way_stores_nothing(
    s3, server: RunningServer, bucket: str
) -> None:
    data, change = b"a" * 50 + b"b" * 50, (b"b" * 50, b"c" * 50)
    assert 403 == put_chunks(server, f"/{bucket}/key", data, [50, 50], change)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def put_chunks(
    server: RunningServer,
    path: str,
    data: bytes,
    sizes: list[int],
    change: tuple[bytes, bytes] = (b"", b""),
) -> int:
    """Store an object in signed chunks, changed after they were signed; return the status."""
    key = Key(server.access_key, server.secret_key, server.region)
    host = urlsplit(server.endpoint).netloc
    headers = {
        "host": host,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(data)),
    }
    now = datetime.now(UTC)
    signed = sign("PUT", server.endpoint + path, headers, key=key, at=now, payload=SIGNED_CHUNKS)
    body = signed_chunks(signed, data, key=key, sizes=sizes)
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", path, body.replace(*change) if change[0] else body, signed.headers)
    status = connection.getresponse().status
    connection.close()
    return status


@over_http_and_https
@pytest.mark.parametrize("location", list(S3ChecksumLocation), ids=lambda one: one.name)
@pytest.mark.parametrize("size", [1000, 12_000_000], ids=["whole", "in parts"])
def test_aws_c_s3_brings_files_up_and_back(
    s3,
    server: RunningServer,
    bucket: str,
    tmp_path: Path,
    size: int,
    location: S3ChecksumLocation,
) -> None:
    up, back = tmp_path / "up", tmp_path / "back"
    data = os.urandom(size)
    up.write_bytes(data)
    client = Crt(server)
    client.request(
        S3RequestType.PUT_OBJECT,
        "PUT",
        f"/{bucket}/a%20key",
        [("Content-Length", str(size))],
        send_filepath=str(up),
        checksum_config=S3ChecksumConfig(S3ChecksumAlgorithm.CRC32C, location),
    )
    client.request(
        S3RequestType.GET_OBJECT,
        "GET",
        f"/{bucket}/a%20key",
        [],
        recv_filepath=str(back),
        checksum_config=S3ChecksumConfig(validate_response=True),
    )
    head = s3.head_object(Bucket=bucket, Key="a key", ChecksumMode="ENABLED")

    assert data == back.read_bytes()
    whole = base64.b64encode(checksums.crc32c(data).to_bytes(4, "big")).decode()
    assert (head["ChecksumCRC32C"] == whole) is (size == 1000)
    assert ("-" in head["ETag"]) is (size > 1000)


class Crt:
    """The client of aws-c-s3, which other SDKs and tools are built on."""

    def __init__(self, server: RunningServer) -> None:
        provider = AwsCredentialsProvider.new_static(server.access_key, server.secret_key)
        self._host = urlsplit(server.endpoint).netloc
        tls = None
        if server.authority is not None:
            options = TlsContextOptions()
            options.override_default_trust_store(server.authority.read_bytes())
            tls = ClientTlsContext(options).new_connection_options()
        self._client = S3Client(
            region=server.region,
            tls_mode=S3RequestTlsMode.ENABLED if tls else S3RequestTlsMode.DISABLED,
            tls_connection_options=tls,
            signing_config=create_default_s3_signing_config(
                region=server.region, credential_provider=provider
            ),
            part_size=5 << 20,
            multipart_upload_threshold=5 << 20,
        )

    def request(
        self,
        kind: S3RequestType,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        **options: Any,
    ) -> None:
        """Do one request, or all that it takes; raise where it fails."""
        message = HttpRequest(method, path, HttpHeaders([("Host", self._host), *headers]))
        done = self._client.make_request(type=kind, request=message, **options)
        done.finished_future.result(60)
