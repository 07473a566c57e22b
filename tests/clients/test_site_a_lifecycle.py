"""Site A's slide "Versioning: Lifecycle", as written, where ten days last five seconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.clients.conftest import Aws
from tests.support.client_tools import REGION
from tests.support.server_process import RunningServer, run_server

pytestmark = pytest.mark.clients

WITHIN_S = 60
LIFE_10_DAYS = {
    "Rules": [
        {
            "ID": "Delete old versions after 10 days",
            "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 10},
        }
    ]
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose days last half a second."""
    directory = tmp_path_factory.mktemp("lifecycle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_JOBS__LIFECYCLE_DAY_S", "0.5")
        with run_server(directory / "store", "--region", REGION) as running:
            yield running


def put_with_boto3(bucket: str, aws: Aws, directory: Path) -> None:
    """The slide's boto3 program."""
    resource = boto3.resource("s3").Bucket(bucket)
    resource.LifecycleConfiguration().put(LifecycleConfiguration=LIFE_10_DAYS)
    resource.meta.client.close()


def put_with_aws_cli(bucket: str, aws: Aws, directory: Path) -> None:
    """The slide's command."""
    file = directory / "lifecycle.json"
    file.write_text(json.dumps(LIFE_10_DAYS))
    aws(
        "s3api", "put-bucket-lifecycle-configuration", "--bucket", bucket,
        "--lifecycle-configuration", f"file://{file}",
    )  # fmt: skip


@pytest.mark.parametrize("put", [put_with_boto3, put_with_aws_cli])
def test_old_versions_go_after_ten_days_and_current_ones_stay(
    s3: Any, aws: Aws, bucket: str, tmp_path: Path, put: Callable[[str, Aws, Path], None]
) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put_versions(s3, bucket, "before")
    replaced = time.time()
    put(bucket, aws, tmp_path)
    put_versions(s3, bucket, "after")
    s3.put_object(Bucket=bucket, Key="alone", Body="current")

    until = time.monotonic() + WITHIN_S
    while True:
        found = versions(s3, bucket)
        if len(found) < 5:  # none goes before its time, which the clock of the server has counted
            assert time.time() - replaced > 4
        if len(found) <= 3 or time.monotonic() > until:
            break
        threading.Event().wait(0.1)
    assert found == [("after", True), ("alone", True), ("before", True)]
    body = s3.get_object(Bucket=bucket, Key="before")["Body"].read()
    assert body == b"new"
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == LIFE_10_DAYS["Rules"]


def put_versions(s3: Any, bucket: str, key: str) -> None:
    """Store an object and replace it."""
    for text in ("old", "new"):
        s3.put_object(Bucket=bucket, Key=key, Body=text)


def versions(s3: Any, bucket: str) -> list[tuple[str, bool]]:
    """Return each version's key and whether it is the current one."""
    listed = s3.list_object_versions(Bucket=bucket)
    return [(one["Key"], one["IsLatest"]) for one in listed["Versions"]]
