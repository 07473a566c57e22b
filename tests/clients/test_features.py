"""Versions, lifecycle, tags, locks, policies, CORS, websites, forms and signed PUTs, set up by
boto3, aws cli, minio-py and the AWS SDK for JavaScript; what comes of it is seen by others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.support.client_tools import WEBSITE_DOMAIN
from tests.support.feature_clients import AwsCli, Boto3, JavaScript, MinioPy
from tests.support.server_process import RunningServer

pytestmark = pytest.mark.clients

ALL = (Boto3, AwsCli, MinioPy, JavaScript)
AWS = (Boto3, AwsCli, JavaScript)  # minio-py has no call for it
SIGNERS = (Boto3, MinioPy, JavaScript)  # aws cli signs for GET only
ORIGIN = "https://portal.example"
NAMES = itertools.count()


@pytest.fixture
def client(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Any]:
    made = request.param(environment)
    yield made
    made.close()


def public(bucket: str) -> str:
    """Return a policy by which everybody reads the objects."""
    allow = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"]}
    statement = {**allow, "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("client", ALL, indirect=True)
def test_versions(client: Any, s3: Any, bucket: str) -> None:
    client.keep_versions(bucket)
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="key", Body=body)
    read = [
        s3.get_object(Bucket=bucket, Key="key", VersionId=version)["Body"].read()
        for version in client.versions(bucket)
    ]
    assert read == [b"2", b"1"]


@pytest.mark.parametrize("client", ALL, indirect=True)
def test_lifecycle(client: Any, s3: Any, bucket: str) -> None:
    client.expire(bucket, 3)
    assert client.expires(bucket) == 3
    stored = s3.put_object(Bucket=bucket, Key="logs/today", Body=b"x")
    assert 'rule-id="r"' in stored["Expiration"]
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="other", Body=b"x")


@pytest.mark.parametrize("client", ALL, indirect=True)
def test_tags(client: Any, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    client.tag(bucket, "key", {"kind": "COG", "year": "2024 é"})
    assert client.tags(bucket, "key") == {"kind": "COG", "year": "2024 é"}
    assert s3.get_object(Bucket=bucket, Key="key")["TagCount"] == 2


@pytest.mark.parametrize("client", ALL, indirect=True)
def test_locks(client: Any, s3: Any) -> None:
    bucket = f"locked-{next(NAMES)}"
    client.make_locked(bucket)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    held = s3.put_object(Bucket=bucket, Key="held", Body=b"x")["VersionId"]
    kept = s3.put_object(Bucket=bucket, Key="kept", Body=b"x")["VersionId"]
    client.hold(bucket, "held")
    client.retain(bucket, "kept", until)
    for key, version in (("held", held), ("kept", kept)):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert s3.head_object(Bucket=bucket, Key="kept")["ObjectLockRetainUntilDate"] == until


@pytest.mark.parametrize("client", ALL, indirect=True)
def test_policies(client: Any, s3: Any, server: RunningServer, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    url = f"{server.endpoint}/{bucket}/key"
    assert requests.get(url, timeout=60).status_code == 403
    client.set_policy(bucket, public(bucket))
    assert json.loads(client.policy(bucket)) == json.loads(public(bucket))
    assert requests.get(url, timeout=60).content == b"x"


@pytest.mark.parametrize("client", AWS, indirect=True)
def test_cors(client: Any, s3: Any, server: RunningServer, bucket: str) -> None:
    client.allow_origin(bucket, ORIGIN)
    assert client.origins(bucket) == [ORIGIN]
    for origin, status in ((ORIGIN, 200), ("https://other.example", 403)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = requests.options(f"{server.endpoint}/{bucket}/key", headers=asked, timeout=60)
        assert answer.status_code == status


@pytest.mark.parametrize("client", AWS, indirect=True)
def test_websites(client: Any, s3: Any, server: RunningServer, bucket: str) -> None:
    client.make_website(bucket)
    client.set_policy(bucket, public(bucket))
    s3.put_object(Bucket=bucket, Key="a/index.html", Body=b"<p>hello", ContentType="text/html")
    host = {"Host": f"{bucket}.{WEBSITE_DOMAIN}"}
    answer = requests.get(f"{server.endpoint}/a/", headers=host, timeout=60)
    assert (answer.content, answer.headers["content-type"]) == (b"<p>hello", "text/html")
    # Who may not list is not told that a page is missing.
    assert requests.get(f"{server.endpoint}/b/", headers=host, timeout=60).status_code == 403


@pytest.mark.parametrize("client", SIGNERS, indirect=True)
def test_forms(client: Any, s3: Any, bucket: str) -> None:
    url, fields = client.form(bucket, "up/key")
    files = {"file": ("a.bin", b"content")}
    assert requests.post(url, data=fields, files=files, timeout=60).status_code == 204
    assert s3.get_object(Bucket=bucket, Key="up/key")["Body"].read() == b"content"
    elsewhere = requests.post(url, data=fields | {"key": "other"}, files=files, timeout=60)
    assert elsewhere.status_code == 403


@pytest.mark.parametrize("client", SIGNERS, indirect=True)
def test_signed_puts(client: Any, s3: Any, bucket: str) -> None:
    url = client.put_url(bucket, "up/key")
    assert requests.put(url, data=b"content", timeout=60).status_code == 200
    assert s3.get_object(Bucket=bucket, Key="up/key")["Body"].read() == b"content"
    forged = url.replace("up/key", "up/other")
    assert requests.put(forged, data=b"content", timeout=60).status_code == 403
