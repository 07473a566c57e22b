"""restic keeps its backups in a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.client_tools import installed, over_http_and_https, run
from tests.support.clients.trees import differences, make_tree, read_tree

pytestmark = pytest.mark.clients


@pytest.fixture
def restic(environment: dict[str, str], bucket: str) -> Callable[..., str]:
    """restic on a repository in a bucket, in which it starts below a prefix."""
    path = installed("restic", "restic")
    variables = environment | {
        "RESTIC_REPOSITORY": f"s3:{environment['AWS_ENDPOINT_URL']}/{bucket}/backups",
        "RESTIC_PASSWORD": "correct horse",
    }
    options = (
        [] if "AWS_CA_BUNDLE" not in environment else ["--cacert", environment["AWS_CA_BUNDLE"]]
    )
    return lambda *arguments: run([path, *options, *arguments], variables).decode()


@over_http_and_https
def test_backup_is_restored_and_forgotten(
    restic: Callable[..., str], s3, bucket: str, tmp_path: Path
) -> None:
    up, back = tmp_path / "up", tmp_path / "back"
    contents = make_tree(up, str)
    restic("init")
    restic("backup", str(up))
    (up / "one").write_bytes(b"changed")
    restic("backup", str(up))
    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(back))
    contents["one"] = b"changed"
    assert [] == differences(contents, read_tree(back / up.relative_to("/")))

    before = stored_bytes(s3, bucket)
    (up / "big").write_bytes(os.urandom(1_000_000))
    restic("backup", str(up))
    assert before + 1_000_000 < stored_bytes(s3, bucket)
    restic("forget", "--keep-last", "1", "--prune")
    restic("check")
    restic("forget", "latest", "--prune")
    assert before > stored_bytes(s3, bucket)


def stored_bytes(s3, bucket: str) -> int:
    """Return how much is in the bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", ()))
