"""restic keeps its backups in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.client_tools import installed, over_http_and_https, run
from tests.support.clients.trees import LARGE, differences, make_tree, read_tree

pytestmark = pytest.mark.clients


@pytest.fixture
def restic(environment: dict[str, str], bucket: str) -> Callable[..., str]:
    """restic on a repository below a prefix of the bucket."""
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
    (up / LARGE).unlink()
    restic("backup", str(up))
    assert stored_bytes(s3, bucket) > 12_000_000

    restic("forget", "--keep-last", "1", "--prune")
    assert stored_bytes(s3, bucket) < 1_000_000
    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(back))
    contents["one"] = b"changed"
    del contents[LARGE]
    assert [] == differences(contents, read_tree(back / up.relative_to("/")))


def stored_bytes(s3, bucket: str) -> int:
    """Return how much is in the bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", ()))
