"""Site A's slides: every aws cli example of the basics, run as written."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest

from tests.support.client_tools import status_of
from tests.support.server_process import RunningServer

pytestmark = pytest.mark.clients


def test_buckets_are_made_listed_and_removed(aws) -> None:
    aws("s3", "mb", "s3://audaces2024-cli")
    listed = aws("s3", "ls").decode().splitlines()
    aws("s3", "rb", "s3://audaces2024-cli")
    after = aws("s3", "ls").decode()

    (line,) = [line for line in listed if line.endswith("audaces2024-cli")]
    date, time, name = line.split()
    assert ("audaces2024-cli", 10, 8) == (name, len(date), len(time))
    assert "audaces2024-cli" not in after


def test_public_bucket_is_readable_by_anyone_and_a_private_one_is_not(
    aws, bucket: str, server: RunningServer
) -> None:
    aws("s3api", "create-bucket", "--acl", "public-read", "--bucket", "audaces2024-public")
    aws("s3", "cp", "-", "s3://audaces2024-public/hello", stdin=b"hello world\n")
    aws("s3", "cp", "-", f"s3://{bucket}/hello", stdin=b"hello world\n")

    with urllib.request.urlopen(f"{server.endpoint}/audaces2024-public") as answer:
        assert b"<Key>hello</Key>" in answer.read()
    with urllib.request.urlopen(f"{server.endpoint}/audaces2024-public/hello") as answer:
        assert b"hello world\n" == answer.read()
    unsigned = aws("s3", "ls", "s3://audaces2024-public", "--no-sign-request").decode()
    assert ["hello"] == [line.split()[-1] for line in unsigned.splitlines()]

    assert 403 == status_of(f"{server.endpoint}/{bucket}")
    assert 403 == status_of(f"{server.endpoint}/{bucket}/hello")
    assert 403 == status_of(server.endpoint)
    aws.fails("s3", "cp", "--no-sign-request", f"s3://{bucket}/hello", "-")


def test_bucket_that_is_not_empty_stays(aws, bucket: str) -> None:
    aws("s3", "cp", "-", f"s3://{bucket}/hello", stdin=b"hello")
    assert "(BucketNotEmpty)" in aws.fails("s3", "rb", f"s3://{bucket}")
    assert b"hello" in aws("s3", "ls", f"s3://{bucket}")

    aws("s3", "rm", f"s3://{bucket}/hello")
    aws("s3", "rb", f"s3://{bucket}")
    assert bucket.encode() not in aws("s3", "ls")


def test_file_comes_back_byte_for_byte(aws, bucket: str, tmp_path: Path) -> None:
    file, copy = tmp_path / "E0033.tif", tmp_path / "myfile"
    file.write_bytes(os.urandom(20_000_000))
    aws("s3", "cp", str(file), f"s3://{bucket}/toto/E0033.tif")
    aws("s3", "cp", f"s3://{bucket}/toto/E0033.tif", str(copy))
    assert file.read_bytes() == copy.read_bytes()

    assert b"PRE toto/" in aws("s3", "ls", f"s3://{bucket}")
    aws("s3", "rm", f"s3://{bucket}/toto/E0033.tif")
    assert b"" == aws("s3", "ls", f"s3://{bucket}")


def test_object_goes_from_stdin_and_to_stdout(aws, bucket: str) -> None:
    aws("s3", "cp", "-", f"s3://{bucket}/hello", stdin=b"hello world\n")
    assert b"hello world\n" == aws("s3", "cp", f"s3://{bucket}/hello", "-")

    large = os.urandom(20_000_000)  # more than a part: the length is not known in advance
    aws("s3", "cp", "-", f"s3://{bucket}/large", stdin=large)
    assert large == aws("s3", "cp", f"s3://{bucket}/large", "-")


def test_metadata_with_dots_and_content_type_come_back(aws, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "E0033.tif"
    file.write_bytes(b"II*\0")
    aws(
        *("s3", "cp", "--content-type", "image/tiff"),
        *("--metadata", "fairease.catalog.mediatype=COG"),
        *(str(file), f"s3://{bucket}/toto/E0033.tif"),
    )
    head = json.loads(aws("s3api", "head-object", "--bucket", bucket, "--key", "toto/E0033.tif"))

    assert {"fairease.catalog.mediatype": "COG"} == head["Metadata"]
    assert ("image/tiff", 4) == (head["ContentType"], head["ContentLength"])


def test_presigned_link_is_fetched_without_credentials(aws, bucket: str) -> None:
    aws("s3", "cp", "-", f"s3://{bucket}/toto/E0033.tif", stdin=b"shared")
    url = aws("s3", "presign", f"s3://{bucket}/toto/E0033.tif", "--expires-in", "86400").decode()

    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256&" in url
    with urllib.request.urlopen(url.strip()) as answer:
        assert (200, b"shared") == (answer.status, answer.read())
    assert 403 == status_of(url.strip().replace("E0033", "E0034"))


def test_wrong_secret_is_refused(aws, environment: dict[str, str], bucket: str) -> None:
    environment["AWS_SECRET_ACCESS_KEY"] = "0" * 40
    assert "(SignatureDoesNotMatch)" in aws.fails("s3", "ls", f"s3://{bucket}")


def test_directories_are_synchronised(aws, bucket: str, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    for name in ("a.csv", "deep/er/b.csv", "skip.tmp"):
        file = there / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        os.utime(file, (1_700_000_000, 1_700_000_000))  # what is newer than its copy is sent again
    upload = ("s3", "sync", str(there), f"s3://{bucket}/data", "--exclude", "*.tmp")
    assert 2 == aws(*upload).count(b"upload: ")
    assert b"" == aws(*upload)
    aws("s3", "sync", f"s3://{bucket}/data", str(back))
    assert {"a.csv": "a.csv", "deep/er/b.csv": "deep/er/b.csv"} == {
        str(file.relative_to(back)): file.read_text() for file in back.rglob("*.csv")
    }


def test_versions_are_kept_and_shown(aws, s3, bucket: str, tmp_path: Path) -> None:
    """The slide "Versioning", as written."""
    aws(
        "s3api", "put-bucket-versioning",
        "--bucket", bucket,
        "--versioning-configuration", "Status=Enabled",
    )  # fmt: skip
    aws("s3", "cp", "-", f"s3://{bucket}/hello", stdin=b"hello1\n")
    aws("s3", "cp", "-", f"s3://{bucket}/hello", stdin=b"hello2\n")
    shown = aws("s3api", "list-object-versions", "--prefix", "hello", "--bucket", bucket)

    versions = json.loads(shown)["Versions"]
    assert [("hello", True), ("hello", False)] == [
        (version["Key"], version["IsLatest"]) for version in versions
    ]
    for version, body in zip(versions, (b"hello2\n", b"hello1\n"), strict=True):
        named = ("--key", "hello", "--version-id", version["VersionId"])
        target = tmp_path / version["VersionId"]
        aws("s3api", "get-object", "--bucket", bucket, *named, str(target))
        assert body == target.read_bytes()
        s3.delete_object(Bucket=bucket, Key="hello", VersionId=version["VersionId"])
    aws("s3", "rb", f"s3://{bucket}")
