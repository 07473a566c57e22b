"""Inventories on a real server, made by command, read by DuckDB, held against the listing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import duckdb
import pytest

from tests.support.commands import command, run_command
from tests.support.server_process import RunningServer

FIELDS = ["Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded"]
WAIT_S = 60
KEYS = ["a b/é,\"'\n.tif", "plain", "x+y%20", "100%"]
Row = tuple[str, str, bool, bool, int | None, str | None, float]


@pytest.fixture(scope="module")
def s3(server: RunningServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )


@pytest.fixture(scope="module")
def listed(s3: Any) -> list[Row]:
    """Make buckets with versions and markers; return what the listing says of them."""
    for bucket in ("inventoried", "inventories"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="inventoried", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        for key in KEYS:
            s3.put_object(Bucket="inventoried", Key=key, Body=b"x" * number)
    s3.delete_object(Bucket="inventoried", Key="plain")
    upload = s3.create_multipart_upload(Bucket="inventoried", Key="parts")["UploadId"]
    where = {"Bucket": "inventoried", "Key": "parts", "UploadId": upload}
    part = s3.upload_part(**where, PartNumber=1, Body=b"1")
    s3.complete_multipart_upload(
        **where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    told = s3.list_object_versions(Bucket="inventoried")
    found: list[Row] = [
        (each["Key"], each["VersionId"], each["IsLatest"], False, each["Size"],
         each["ETag"].strip('"'), each["LastModified"].timestamp())
        for each in told["Versions"]
    ]  # fmt: skip
    found += [
        (
            each["Key"],
            each["VersionId"],
            each["IsLatest"],
            True,
            None,
            None,
            each["LastModified"].timestamp(),
        )
        for each in told["DeleteMarkers"]
    ]
    return sorted(found)


def configure(s3: Any, name: str, form: str) -> None:
    s3.put_bucket_inventory_configuration(
        Bucket="inventoried",
        Id=name,
        InventoryConfiguration={
            "Id": name,
            "IsEnabled": True,
            "IncludedObjectVersions": "All",
            "OptionalFields": FIELDS,
            "Schedule": {"Frequency": "Daily"},
            "Destination": {
                "S3BucketDestination": {"Bucket": "arn:aws:s3:::inventories", "Format": form}
            },
        },
    )


def download(s3: Any, manifest: str, directory: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a manifest, and the files that it names."""
    bucket, _, key = manifest.removeprefix("s3://").partition("/")
    document = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    paths = []
    for number, file in enumerate(document["files"]):
        path = directory / f"{number}-{file['key'].rpartition('/')[2]}"
        s3.download_file(bucket, file["key"], str(path))
        paths.append(str(path))
    return document, paths


def read_csv(paths: list[str], names: list[str]) -> list[Row]:
    types = dict.fromkeys(names, "VARCHAR")
    types |= {"IsLatest": "BOOLEAN", "IsDeleteMarker": "BOOLEAN", "Size": "BIGINT"}
    types |= {"LastModifiedDate": "TIMESTAMPTZ"}
    table = duckdb.read_csv(paths, header=False, names=names, dtype=types, quotechar='"')
    found = table.project(
        "Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag, epoch(LastModifiedDate)"
    ).fetchall()
    return sorted((unquote(key), *rest[:4], rest[4] or None, rest[5]) for key, *rest in found)


def read_parquet(paths: list[str], _: list[str]) -> list[Row]:
    table = duckdb.read_parquet(paths)
    return sorted(
        table.project(
            "key, version_id, is_latest, is_delete_marker, size, e_tag, epoch(last_modified_date)"
        ).fetchall()
    )


@pytest.mark.parametrize(("form", "read"), [("CSV", read_csv), ("Parquet", read_parquet)])
def test_inventory_says_what_the_listing_says(
    server: RunningServer,
    s3: Any,
    listed: list[Row],
    tmp_path: Path,
    form: str,
    read: Callable[[list[str], list[str]], list[Row]],
) -> None:
    if form == "Parquet":
        pytest.importorskip("pyarrow", reason="the extra `inventory`")
    configure(s3, form.lower(), form)
    (row,) = command(server.directory, "inventory", "run", "s3://inventoried", "--id", form.lower())
    assert (row["rows"], row["error"]) == (len(listed), "")
    document, paths = download(s3, row["manifest"], tmp_path)
    names = document["fileSchema"].split(", ")
    found = read(paths, names)
    assert [each[:6] for each in found] == [each[:6] for each in listed]
    for (*_, made), (*_, told) in zip(found, listed, strict=True):
        assert told <= made < told + 1  # the listing has seconds only
    assert row in command(server.directory, "inventory", "list")
    until_jobs_are_told(server, {"access-logs", "inventory"})


def until_jobs_are_told(server: RunningServer, names: set[str]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not names <= (
        told := {each["job"] for each in command(server.directory, "status")["jobs"]}
    ):
        assert time.monotonic() < deadline, told


def test_command_says_where_there_is_nothing_to_make(server: RunningServer, s3: Any) -> None:
    s3.create_bucket(Bucket="not-inventoried")
    words = ("inventory", "run", "s3://not-inventoried", "--dir", str(server.directory))
    ran = run_command(*words)
    assert (4, True) == (ran.status, "No inventory of this bucket is enabled" in ran.err)
