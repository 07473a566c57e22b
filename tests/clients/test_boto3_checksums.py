"""boto3's checksums: every algorithm, whole and in parts, in headers and in trailers."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from awscrt import checksums
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.server_process import RunningServer
from tests.support.tls_proxy import tls_proxy

pytestmark = pytest.mark.clients

PART = 5 << 20
ALGORITHMS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}


def expected(algorithm: str, data: bytes) -> str:
    return base64.b64encode(ALGORITHMS[algorithm](data)).decode()


def composite(algorithm: str, parts: list[bytes]) -> str:
    digest = ALGORITHMS[algorithm]
    return expected(algorithm, b"".join(map(digest, parts))) + f"-{len(parts)}"


@pytest.mark.parametrize("size", [0, 70_000])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_of_a_plain_upload_is_kept(s3, bucket: str, algorithm: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    put = s3.put_object(Bucket=bucket, Key="key", Body=data, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")  # boto3 verifies it
    name = f"Checksum{algorithm}"

    assert data == got["Body"].read()
    assert [expected(algorithm, data)] * 2 == [put[name], got[name]]
    assert "FULL_OBJECT" == got["ChecksumType"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_managed_copy_computes_the_checksum_that_is_asked_for(
    s3, bucket: str, algorithm: str
) -> None:
    data = bytes(range(256)) * 300
    s3.put_object(Bucket=bucket, Key="key", Body=data)
    source = {"Bucket": bucket, "Key": "key"}
    s3.copy(source, bucket, "copy", ExtraArgs={"ChecksumAlgorithm": algorithm})
    got = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")  # boto3 verifies it

    assert data == got["Body"].read()
    assert expected(algorithm, data) == got[f"Checksum{algorithm}"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong_checksum_stores_nothing(s3, bucket: str, algorithm: str) -> None:
    wrong = {f"Checksum{algorithm}": expected(algorithm, b"other")}
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="key", Body=b"data", **wrong)
    assert "BadDigest" == refused.value.response["Error"]["Code"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        *((algorithm, "COMPOSITE") for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256")),
        *((algorithm, "FULL_OBJECT") for algorithm in ("CRC32", "CRC32C", "CRC64NVME")),
    ],
)
def test_checksums_of_parts_make_that_of_the_object(
    s3, bucket: str, algorithm: str, kind: str
) -> None:
    parts, name = [b"a" * PART, b"b" * 1000], f"Checksum{algorithm}"
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="key", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )
    place = {"Bucket": bucket, "Key": "key", "UploadId": upload["UploadId"]}
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(**place, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        assert expected(algorithm, part) == answer[name]
        done.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    completed = s3.complete_multipart_upload(
        **place, MultipartUpload={"Parts": done}, ChecksumType=kind
    )
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")

    whole = b"".join(parts)
    value = composite(algorithm, parts) if kind == "COMPOSITE" else expected(algorithm, whole)
    assert [(value, kind)] * 2 == [(one[name], one["ChecksumType"]) for one in (completed, head)]
    assert whole == s3.get_object(Bucket=bucket, Key="key")["Body"].read()
    for number, part in enumerate(parts, 1):
        got = s3.get_object(Bucket=bucket, Key="key", PartNumber=number, ChecksumMode="ENABLED")
        assert (expected(algorithm, part), kind) == (got[name], got["ChecksumType"])
        assert part == got["Body"].read()


@pytest.mark.parametrize(
    ("when", "algorithm"), [("when_supported", "CRC32"), ("when_required", "CRC64NVME")]
)
def test_checksum_is_boto3s_or_else_ours(connect, bucket: str, when: str, algorithm: str) -> None:
    s3 = connect(config=Config(request_checksum_calculation=when))
    s3.put_object(Bucket=bucket, Key="key", Body=b"data")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "other"}]})  # needs one always
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    found = {name: head[name] for name in head if name.startswith("Checksum")}
    assert {
        f"Checksum{algorithm}": expected(algorithm, b"data"),
        "ChecksumType": "FULL_OBJECT",
    } == found


@pytest.fixture
def over_tls(connect, server: RunningServer, tmp_path: Path) -> Iterator[object]:
    """A client that comes by https: its bodies are not signed, their checksums are trailers."""
    port = urlsplit(server.endpoint).port
    assert port is not None
    with tls_proxy(port, tmp_path) as (url, certificate):
        yield connect(endpoint_url=url, verify=str(certificate))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_trailing_checksum_is_verified_and_kept(over_tls, bucket: str, algorithm: str) -> None:
    sent = []
    over_tls.meta.events.register(
        "before-send.s3.PutObject", lambda request, **_: sent.append(request.headers)
    )
    over_tls.upload_fileobj(
        io.BytesIO(b"data" * 1000), bucket, "key", ExtraArgs={"ChecksumAlgorithm": algorithm}
    )
    head = over_tls.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")

    assert b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" == sent[0]["X-Amz-Content-SHA256"]
    assert f"x-amz-checksum-{algorithm.lower()}".encode() == sent[0]["X-Amz-Trailer"]
    assert expected(algorithm, b"data" * 1000) == head[f"Checksum{algorithm}"]


def test_parts_with_trailing_checksums_come_back(over_tls, bucket: str) -> None:
    data = bytes(range(256)) * 50_000
    over_tls.upload_fileobj(
        io.BytesIO(data),
        bucket,
        "key",
        Config=TransferConfig(multipart_threshold=PART, multipart_chunksize=PART),
    )
    back = io.BytesIO()
    over_tls.download_fileobj(bucket, "key", back)
    parts = [data[start : start + PART] for start in range(0, len(data), PART)]
    head = over_tls.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")

    assert data == back.getvalue()
    assert composite("CRC32", parts) == head["ChecksumCRC32"]
