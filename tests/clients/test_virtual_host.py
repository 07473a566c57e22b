"""The basics with the bucket in the host name: boto3 and plain HTTP."""

from __future__ import annotations

import socket
import urllib.request
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from tests.support.client_tools import BASE_DOMAIN, REGION, status_of
from tests.support.server_process import RunningServer

pytestmark = pytest.mark.clients

VIRTUAL = Config(s3={"addressing_style": "virtual"})
KEY = "toto/E 0033+é.tif"


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_boto3_signs_by_version_2(connect, endpoint: str, style: str) -> None:
    """Of a bucket in the path boto3 signs another path than it sends."""
    config = Config(signature_version="s3", s3={"addressing_style": style})
    s3, bucket = connect(config=config, endpoint_url=endpoint), f"version-2-{style}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"data")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert [KEY] == [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert b"data" == s3.get_object(Bucket=bucket, Key=KEY)["Body"].read()
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": KEY}]})
    s3.delete_bucket(Bucket=bucket)


@pytest.fixture
def endpoint(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server by its base domain, whose names this process resolves like DNS would."""
    resolve = socket.getaddrinfo

    def resolve_domain(host, *arguments, **options):
        is_ours = isinstance(host, str) and host.endswith(BASE_DOMAIN)
        return resolve("127.0.0.1" if is_ours else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_domain)
    return f"http://{BASE_DOMAIN}:{urlsplit(server.endpoint).port}"


def test_boto3_works_with_buckets_in_the_host_name(connect, endpoint: str) -> None:
    s3 = connect(config=VIRTUAL, endpoint_url=endpoint)
    hosts = []
    s3.meta.events.register(
        "before-send.s3", lambda request, **_: hosts.append(urlsplit(request.url).hostname)
    )
    s3.create_bucket(Bucket="virtual", ACL="public-read")
    s3.put_object(Bucket="virtual", Key=KEY, Body=b"data", Metadata={"fairease.mediatype": "COG"})
    s3.copy_object(Bucket="virtual", Key="copy", CopySource={"Bucket": "virtual", "Key": KEY})
    got = s3.get_object(Bucket="virtual", Key=KEY)
    listed = s3.list_objects_v2(Bucket="virtual", Prefix="toto/")["Contents"]

    assert b"data" == got["Body"].read()
    assert {"fairease.mediatype": "COG"} == got["Metadata"]
    assert [KEY] == [entry["Key"] for entry in listed]
    assert b"data" == s3.get_object(Bucket="virtual", Key="copy")["Body"].read()
    assert {f"virtual.{BASE_DOMAIN}"} == set(hosts)
    assert "virtual" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]

    with urllib.request.urlopen(endpoint.replace("//", "//virtual.") + "/copy") as answer:
        assert b"data" == answer.read()
    keys = [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket="virtual")["Contents"]]
    s3.delete_objects(Bucket="virtual", Delete={"Objects": keys})
    s3.delete_bucket(Bucket="virtual")
    assert 404 == status_of(endpoint.replace("//", "//virtual."))


@pytest.mark.parametrize("region", ["us-east-1", REGION], ids=["version 2", "version 4"])
def test_presigned_link_names_the_bucket_in_its_host(
    connect, s3, bucket: str, endpoint: str, region: str
) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"shared")
    virtual = connect(config=VIRTUAL, endpoint_url=endpoint, region_name=region)
    url = virtual.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": KEY}, ExpiresIn=86400
    )

    assert url.startswith(endpoint.replace("//", f"//{bucket}.") + "/toto/")
    with urllib.request.urlopen(url) as answer:
        assert b"shared" == answer.read()
    assert 403 == status_of(url.replace("0033", "0034"))


def test_upload_in_parts_by_host_name(connect, s3, bucket: str, endpoint: str, tmp_path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 50_000)
    connect(config=VIRTUAL, endpoint_url=endpoint).upload_file(str(file), bucket, "file")
    assert file.read_bytes() == s3.get_object(Bucket=bucket, Key="file")["Body"].read()
