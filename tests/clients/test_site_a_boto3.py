"""Site A's slides: every boto3 example of the basics, run as written, and its SNS call."""

from __future__ import annotations

import filecmp
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.client_tools import REGION, status_of

pytestmark = pytest.mark.clients


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Return status and code of what was refused."""
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def names(s3) -> list[str]:
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


@pytest.mark.usefixtures("environment")
def test_slides_work_with_nothing_but_the_environment() -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="audaces2024")
    s3.put_object(Body="Hello World", Bucket="audaces2024", Key="hello")
    response = s3.get_object(Bucket="audaces2024", Key="hello")
    assert b"Hello World" == response["Body"].read()

    assert "audaces2024" in names(s3)
    assert REGION == s3.get_bucket_location(Bucket="audaces2024")["LocationConstraint"]
    s3.delete_object(Bucket="audaces2024", Key="hello")
    s3.delete_bucket(Bucket="audaces2024")
    assert "audaces2024" not in names(s3)
    s3.close()


def test_public_bucket_is_read_by_a_client_without_credentials(s3, connect, bucket: str) -> None:
    s3.create_bucket(Bucket="audaces2024-boto3-public", ACL="public-read")
    for name in ("audaces2024-boto3-public", bucket):
        s3.put_object(Body="Hello", Bucket=name, Key="hello")
    anyone = connect(config=Config(signature_version=UNSIGNED))

    listed = anyone.list_objects_v2(Bucket="audaces2024-boto3-public")["Contents"]
    assert [("hello", 5)] == [(entry["Key"], entry["Size"]) for entry in listed]
    answer = anyone.get_object(Bucket="audaces2024-boto3-public", Key="hello")
    assert b"Hello" == answer["Body"].read()
    for call in (
        lambda: anyone.list_objects_v2(Bucket=bucket),
        lambda: anyone.get_object(Bucket=bucket, Key="hello"),
        lambda: anyone.put_object(Bucket="audaces2024-boto3-public", Key="new", Body=b""),
        lambda: anyone.delete_object(Bucket="audaces2024-boto3-public", Key="hello"),
        anyone.list_buckets,
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert (403, "AccessDenied") == refusal(refused)


def test_200_mb_come_back_byte_for_byte(s3, bucket: str, large_file: Path, tmp_path: Path) -> None:
    s3.upload_file(
        Filename=str(large_file),
        Bucket=bucket,
        Key="toto/E0033.tif",
        ExtraArgs={"Metadata": {"fairease.catalog.mediatype": "COG"}},
    )
    head = s3.head_object(Bucket=bucket, Key="toto/E0033.tif")
    copy = tmp_path / "myfile"
    s3.download_file(bucket, "toto/E0033.tif", str(copy))

    assert {"fairease.catalog.mediatype": "COG"} == head["Metadata"]
    assert 200_000_000 == head["ContentLength"]
    assert filecmp.cmp(large_file, copy, shallow=False)
    s3.delete_object(Bucket=bucket, Key="toto/E0033.tif")


@pytest.mark.parametrize(
    ("region", "version"),
    [("us-east-1", "AWSAccessKeyId="), (REGION, "X-Amz-Algorithm=AWS4-HMAC-SHA256")],
    ids=["version 2", "version 4"],
)
def test_presigned_link_is_fetched_without_credentials(
    s3, connect, bucket: str, region: str, version: str
) -> None:
    s3.put_object(Body="shared", Bucket=bucket, Key="toto/E 0033+é.tif")
    url = connect(region_name=region).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "toto/E 0033+é.tif"}, ExpiresIn=86400
    )

    assert version in url
    with urllib.request.urlopen(url) as answer:
        assert b"shared" == answer.read()
    assert 403 == status_of(url.replace("0033", "0034"))


@pytest.mark.parametrize("region", ["us-east-1", REGION])
def test_presigned_put_stores_an_object(s3, connect, bucket: str, region: str) -> None:
    url = connect(region_name=region).generate_presigned_url(
        "put_object",
        Params={"Bucket": bucket, "Key": "in", "ContentType": "text/csv", "Metadata": {"a.b": "c"}},
        ExpiresIn=60,
    )
    headers = {"Content-Type": "text/csv", "x-amz-meta-a.b": "c"}
    request = urllib.request.Request(url, b"1,2\n", headers, method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert 200 == answer.status

    stored = s3.get_object(Bucket=bucket, Key="in")
    assert (b"1,2\n", "text/csv") == (stored["Body"].read(), stored["ContentType"])
    assert {"a.b": "c"} == stored["Metadata"]


@pytest.mark.usefixtures("environment")
def test_resources_work_like_clients(s3, bucket: str) -> None:
    resource = boto3.resource("s3")
    found = resource.Bucket(bucket)
    for number in range(3):
        found.put_object(Body=f"hello{number}", Key=f"data/{number}")
    texts = [entry.get()["Body"].read() for entry in found.objects.filter(Prefix="data/")]
    summaries = [(entry.key, entry.size) for entry in found.objects.all()]
    found.Object("copy").copy({"Bucket": bucket, "Key": "data/2"})
    assert b"hello2" == found.Object("copy").get()["Body"].read()
    deleted = found.objects.delete()

    assert [b"hello0", b"hello1", b"hello2"] == texts
    assert [("data/0", 6), ("data/1", 6), ("data/2", 6)] == summaries
    assert ["copy", "data/0", "data/1", "data/2"] == sorted(
        entry["Key"] for entry in deleted[0]["Deleted"]
    )
    found.delete()
    assert bucket not in [entry.name for entry in resource.buckets.all()]
    resource.meta.client.close()


@pytest.mark.usefixtures("environment")
def test_versions_are_kept_and_read(bucket: str) -> None:
    """The slide "Versioning", as written; then the bucket is emptied as its users would."""
    resource = boto3.resource("s3")
    found = resource.Bucket(bucket)
    found.Versioning().enable()
    found.put_object(Body="hello1", Key="hello")
    found.put_object(Body="hello2", Key="hello")

    read = []
    versions = found.object_versions.filter(Prefix="hello")
    for version in versions:
        obj = version.get()
        assert obj.get("VersionId") == version.id
        read.append((obj.get("LastModified"), obj.get("Body").read().decode("utf-8")))
    assert ["hello2", "hello1"] == [body for _, body in read]
    assert read == sorted(read, reverse=True)

    found.Object("hello").delete()
    assert [] == list(found.objects.all())
    found.object_versions.delete()
    found.delete()
    resource.meta.client.close()


@pytest.mark.parametrize("version", ["s3", "v4"], ids=["version 2, as site A", "version 4"])
def test_topic_goes_only_where_the_operator_allows(connect, version: str) -> None:
    sns = connect("sns", config=Config(signature_version=version))
    attributes = {
        "push-endpoint": "amqp://192.168.81.196:5672",
        "amqp-exchange": "fairease-s3-events",
        "amqp-ack-level": "none",
        "persistent": "false",
    }
    with pytest.raises(ClientError) as refused:
        sns.create_topic(Name="fairease", Attributes=attributes)
    assert (400, "InvalidParameter") == refusal(refused)


@pytest.mark.parametrize("service", ["s3", "sns"])
@pytest.mark.parametrize("version", ["s3", "v4"])
def test_wrong_secret_is_refused(
    connect, monkeypatch: pytest.MonkeyPatch, service: str, version: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "0" * 40)
    client = connect(service, config=Config(signature_version=version))
    with pytest.raises(ClientError) as refused:
        client.list_buckets() if service == "s3" else client.create_topic(Name="fairease")
    assert (403, "SignatureDoesNotMatch") == refusal(refused)


def test_session_without_region_lists_and_signs(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    s3 = boto3.session.Session().client("s3")
    s3.put_object(Body="shared", Bucket=bucket, Key="hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "hello"})
    s3.close()

    assert f"AWSAccessKeyId={environment['AWS_ACCESS_KEY_ID']}" in url
    with urllib.request.urlopen(url) as answer:
        assert b"shared" == answer.read()
