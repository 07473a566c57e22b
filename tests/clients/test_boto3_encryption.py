"""boto3's server-side encryption on a real server, and what is then on its disks and in its log."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from tests.support.server_process import run_server

pytestmark = pytest.mark.clients

CANARY = b"plaintext-canary"
PART = 5 << 20
DATA = b"".join(CANARY + b"%08d" % number for number in range(300_000))  # two parts
KEY = b"customers-canary-key-of-32-bytes"
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
SOURCE = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}
SSE = {"ServerSideEncryption": "AES256"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What holds the store of this file's server, and its log."""
    return tmp_path_factory.mktemp("encryption")


@pytest.fixture(scope="module")
def s3(directory: Path) -> Iterator[Any]:
    """A client of a server that takes its word for TLS, as it takes that of a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_SERVER__TRUSTED_PROXIES", '["127.0.0.1"]')
        with run_server(directory / "store") as server:
            client = boto3.client(
                "s3",
                endpoint_url=server.endpoint,
                region_name=server.region,
                aws_access_key_id=server.access_key,
                aws_secret_access_key=server.secret_key,
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
            client.meta.events.register("before-send.s3", _forwarded)
            client.create_bucket(Bucket="data")
            yield client
            client.close()


def _forwarded(request: Any, **_: Any) -> None:
    request.headers["X-Forwarded-Proto"] = "https"


def read(s3: Any, key: str, **arguments: Any) -> bytes:
    return s3.get_object(Bucket="data", Key=key, **arguments)["Body"].read()  # type: ignore[no-any-return]


@pytest.mark.parametrize("mode", [SSE, CUSTOMER], ids=["SSE-S3", "SSE-C"])
def test_object_comes_back_whole_and_in_ranges(s3: Any, mode: dict[str, Any]) -> None:
    opens = mode if mode is CUSTOMER else {}
    put = s3.put_object(Bucket="data", Key="one", Body=DATA[:200_000], **mode)
    assert read(s3, "one", **opens) == DATA[:200_000]
    assert read(s3, "one", Range="bytes=65530-131080", **opens) == DATA[65_530:131_081]
    head = s3.head_object(Bucket="data", Key="one", **opens)
    assert (head["ContentLength"], head["ETag"]) == (200_000, put["ETag"])
    told = "ServerSideEncryption" if mode is SSE else "SSECustomerAlgorithm"
    assert head[told] == put[told] == "AES256"
    md5 = hashlib.md5(DATA[:200_000]).hexdigest()
    assert (put["ETag"] == f'"{md5}"') == (mode is SSE)


@pytest.mark.parametrize("mode", [SSE, CUSTOMER], ids=["SSE-S3", "SSE-C"])
def test_transfer_in_parts_comes_back(s3: Any, mode: dict[str, Any], tmp_path: Path) -> None:
    file, back = tmp_path / "file", tmp_path / "back"
    file.write_bytes(DATA)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    s3.upload_file(str(file), "data", "parts", ExtraArgs=mode, Config=config)
    opens = mode if mode is CUSTOMER else {}
    s3.download_file("data", "parts", str(back), ExtraArgs=opens, Config=config)
    assert back.read_bytes() == DATA
    border = f"bytes={PART - 100}-{PART + 99}"
    assert read(s3, "parts", Range=border, **opens) == DATA[PART - 100 : PART + 100]


def test_copies_change_the_encryption(s3: Any) -> None:
    place = {"Bucket": "data", "CopySource": "data/copied"}
    s3.put_object(Bucket="data", Key="copied", Body=DATA[:100_000], **CUSTOMER)
    s3.copy_object(**place, Key="to-sse-s3", **SOURCE, **SSE)
    s3.copy_object(**place, Key="to-sse-c", **SOURCE, **CUSTOMER)
    assert read(s3, "to-sse-s3") == read(s3, "to-sse-c", **CUSTOMER) == DATA[:100_000]


def test_default_of_a_bucket_encrypts(s3: Any) -> None:
    s3.create_bucket(Bucket="default")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    configuration = {"Rules": [rule]}
    s3.put_bucket_encryption(Bucket="default", ServerSideEncryptionConfiguration=configuration)
    told = s3.get_bucket_encryption(Bucket="default")["ServerSideEncryptionConfiguration"]
    assert told["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    s3.put_object(Bucket="default", Key="key", Body=DATA[:100_000])
    got = s3.get_object(Bucket="default", Key="key")
    assert (got["ServerSideEncryption"], got["Body"].read()) == ("AES256", DATA[:100_000])


def test_refused_key_opens_nothing(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="refused", Body=CANARY, **CUSTOMER)
    for wrong in ({}, CUSTOMER | {"SSECustomerKey": KEY[::-1]}):
        with pytest.raises(s3.exceptions.ClientError):
            read(s3, "refused", **wrong)


def test_no_bytes_and_no_keys_are_on_disks_or_in_the_log(s3: Any, directory: Path) -> None:
    s3.put_object(Bucket="data", Key="plain", Body=b"seen-canary" * 10)  # what is plain is found
    s3.put_object(Bucket="data", Key="small", Body=CANARY, **CUSTOMER)
    s3.put_object(Bucket="data", Key="small", Body=CANARY, **SSE)
    s3.put_object(Bucket="data", Key="large", Body=DATA, **CUSTOMER)
    secrets = [CANARY, KEY, base64.b64encode(KEY), KEY.hex().encode()]
    found, plain = [], 0
    for file in directory.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            plain += b"seen-canary" in content
            found += [(file, secret) for secret in secrets if secret in content]
    assert found == []
    assert plain
