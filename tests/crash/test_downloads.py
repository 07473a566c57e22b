"""Downloads from a real server whose bytes go while it serves them, or were gone before."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from tests.support.server_process import RunningServer, run_server

MIB = 1 << 20
PARTS = [random.Random(number).randbytes(8 * MIB) for number in range(6)]
GRACE_S = "4"  # a quarter of it makes a download a long one
COLLECTED_WITHIN_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S3SERVER_STORAGE__GC_GRACE_S", GRACE_S)
        directory = tmp_path_factory.mktemp("downloads") / "store"
        with run_server(directory, "--osds", "3", "--pool", "ec:2+1") as running:
            client_of(running).create_bucket(Bucket="bucket")
            yield running


def client_of(server: RunningServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=ClientConfig(retries={"max_attempts": 0}),
    )


def put_in_parts(client: Any, key: str, parts: list[bytes]) -> None:
    name = {"Bucket": "bucket", "Key": key}
    upload = client.create_multipart_upload(**name)["UploadId"]
    done = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**name, UploadId=upload, PartNumber=number, Body=data)[
                "ETag"
            ],
        }
        for number, data in enumerate(parts, 1)
    ]
    client.complete_multipart_upload(**name, UploadId=upload, MultipartUpload={"Parts": done})


def shards_of(server: RunningServer) -> set[Path]:
    return set(server.directory.glob("osd.*/shards/*/*"))


def test_long_download_of_parts_survives_overwrite_and_collection(server: RunningServer) -> None:
    client = client_of(server)
    put_in_parts(client, "long", PARTS)
    theirs = shards_of(server)
    body = client.get_object(Bucket="bucket", Key="long")["Body"]
    began = body.read(MIB)
    client.put_object(Bucket="bucket", Key="long", Body=b"new")
    client.put_object(Bucket="bucket", Key="other", Body=bytes(MIB))
    others = shards_of(server) - theirs
    assert len(others) == 3
    client.delete_object(Bucket="bucket", Key="other")  # given up after "long" was
    deadline = time.monotonic() + COLLECTED_WITHIN_S
    while others & shards_of(server):
        assert time.monotonic() < deadline, "nothing is collected"
        threading.Event().wait(0.05)
    assert theirs <= shards_of(server)
    assert began + body.read() == b"".join(PARTS)
    assert client.get_object(Bucket="bucket", Key="long")["Body"].read() == b"new"


@pytest.mark.parametrize("in_parts", [False, True])
def test_get_with_too_few_shards_is_503_before_the_head(
    server: RunningServer, in_parts: bool
) -> None:
    client, before = client_of(server), shards_of(server)
    if in_parts:
        put_in_parts(client, "torn", PARTS[:2])
    else:
        client.put_object(Bucket="bucket", Key="torn", Body=PARTS[0])
    for path in shards_of(server) - before:
        if path.is_relative_to(server.directory / "osd.2"):
            continue  # one of two that are needed
        path.unlink()
    with pytest.raises(ClientError) as refused:
        client.get_object(Bucket="bucket", Key="torn")
    answer = refused.value.response
    assert 503 == answer["ResponseMetadata"]["HTTPStatusCode"]
    assert "SlowDown" == answer["Error"]["Code"]
