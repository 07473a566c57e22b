"""Every client: up, listed, back, copied, deleted; byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client_libraries import Boto3, MinioPy, Obstore
from tests.support.client_programs import AwsCli, Rclone, S3cmd, S3cmdVersion2, S3fs, S5cmd
from tests.support.client_rounds import COPIED, LARGE, Tool, differences, make_tree, read_tree

pytestmark = pytest.mark.clients

CLIENTS = (AwsCli, Boto3, MinioPy, Obstore, Rclone, S3cmd, S3cmdVersion2, S3fs, S5cmd)


@pytest.fixture(params=CLIENTS, ids=lambda client: client.__name__)
def tool(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Tool:
    """One of the clients."""
    return request.param(environment, tmp_path)


def stored(s3, bucket: str) -> dict[str, bytes]:
    """Return what the bucket holds, as boto3 reads it."""
    entries = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    return {
        entry["Key"]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        for entry in entries
    }


def test_round(tool: Tool, s3, bucket: str, tmp_path: Path) -> None:
    up, back = tmp_path / "up", tmp_path / "back"
    contents = make_tree(up)

    tool.upload(up, bucket)
    assert [] == differences(contents, stored(s3, bucket))
    assert contents.keys() == tool.keys(bucket)
    parts = s3.head_object(Bucket=bucket, Key=LARGE)["ETag"].strip('"').partition("-")[2]
    assert parts in {"2", "3"}  # it went up in parts

    tool.download(bucket, back)
    assert [] == differences(contents, read_tree(back))

    for source in (COPIED, LARGE):
        target = f"copies/of {source}"
        tool.copy(bucket, source, target)
        contents[target] = contents[source]
    tool.delete(bucket, COPIED)
    del contents[COPIED]
    assert [] == differences(contents, stored(s3, bucket))

    tool.delete_all(bucket)
    assert {} == stored(s3, bucket)
    s3.delete_bucket(Bucket=bucket)  # nothing is left behind, uploads neither


KEYS = ["a", "a/", "a/b", "a//b", "//", " ", "+", "%2F", "a?b#c", "\n\t\x01", "é" * 512, "日本 😀"]


def test_every_legal_key_is_a_key_of_its_own(s3, bucket: str) -> None:
    for number, key in enumerate(KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % number)
    for number, key in enumerate(KEYS):
        assert b"%d" % number == s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    in_order = sorted(KEYS, key=str.encode)
    for operation in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(operation).paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 1}
        )
        assert in_order == [entry["Key"] for page in pages for entry in page["Contents"]]
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert ["/", "a/"] == [folder["Prefix"] for folder in folders]

    deleted = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in KEYS if "\x01" not in key]}
    )
    assert "Errors" not in deleted
    assert len(KEYS) - 1 == len(deleted["Deleted"])
    s3.delete_object(Bucket=bucket, Key="\n\t\x01")  # XML 1.0 cannot say it
    s3.delete_bucket(Bucket=bucket)
