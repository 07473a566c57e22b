"""The storage class of an object chooses the pool of its bytes, whatever the pool of its bucket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from s3server.maintenance import open_operated
from s3server.settings import load
from tests.support.blobs import pattern
from tests.support.server_process import RunningServer, run_server

CHEAP = "STANDARD_IA"
BODY = pattern(200_000)
PART = pattern(5 << 20, 3)
SETTINGS = f"""
[[pools]]
name = "cheap"
codec = "ec:2+1"
storage_class = "{CHEAP}"
"""


@pytest.fixture(scope="module")
def two_pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    store = tmp_path_factory.mktemp("classes") / "store"
    (store / "conf.d").mkdir(parents=True)
    (store / "conf.d" / "pools.toml").write_text(SETTINGS)
    with run_server(store) as running:
        yield running


@pytest.fixture
def s3(two_pools: RunningServer) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=two_pools.endpoint,
        aws_access_key_id=two_pools.access_key,
        aws_secret_access_key=two_pools.secret_key,
        region_name=two_pools.region,
        config=ClientConfig(s3={"addressing_style": "path"}),
    )
    if not client.list_buckets()["Buckets"]:
        client.create_bucket(Bucket="data")
    return client


def pools_of(server: RunningServer, key: str) -> set[str]:
    """Return the pools that the bytes of an object lie in."""

    async def look() -> set[str]:
        async with open_operated(load(server.directory / "s3server.toml")) as store:
            bucket = await store.buckets.get("data")
            blob = await store.objects.blob_of(await store.objects.get(bucket, key))
            found = [await store.blobs.load(part.blob) for part in blob.parts] or [blob]
            return {each.ref.pool for each in found if each is not None and each.ref is not None}

    return asyncio.run(look())


def class_of(s3: Any, key: str) -> str | None:
    found: str | None = s3.head_object(Bucket="data", Key=key).get("StorageClass")
    listed = {
        each["Key"]: each["StorageClass"] for each in s3.list_objects_v2(Bucket="data")["Contents"]
    }
    assert listed[key] == (found or "STANDARD")
    assert s3.get_object(Bucket="data", Key=key).get("StorageClass") == found
    return found


def test_object_of_a_class_lies_in_its_pool_and_says_so(s3: Any, two_pools: RunningServer) -> None:
    s3.put_object(Bucket="data", Key="plain", Body=BODY)
    s3.put_object(Bucket="data", Key="cheap", Body=BODY, StorageClass=CHEAP)
    s3.put_object(Bucket="data", Key="empty", Body=b"", StorageClass=CHEAP)
    assert ({"default"}, {"cheap"}) == (pools_of(two_pools, "plain"), pools_of(two_pools, "cheap"))
    assert [None, CHEAP, CHEAP] == [class_of(s3, key) for key in ("plain", "cheap", "empty")]
    assert BODY == s3.get_object(Bucket="data", Key="cheap")["Body"].read()
    fields = {"x-amz-storage-class": CHEAP}
    form = s3.generate_presigned_post("data", "form", fields, [fields])
    assert requests.post(form["url"], form["fields"], files={"file": BODY}).status_code == 204
    assert ({"cheap"}, CHEAP) == (pools_of(two_pools, "form"), class_of(s3, "form"))
    attributes = s3.get_object_attributes(
        Bucket="data", Key="cheap", ObjectAttributes=["StorageClass"]
    )
    assert CHEAP == attributes["StorageClass"]


def test_parts_of_an_upload_lie_in_the_pool_of_its_class(s3: Any, two_pools: RunningServer) -> None:
    s3.put_object(Bucket="data", Key="source", Body=BODY)
    target = {"Bucket": "data", "Key": "parts"}
    upload = s3.create_multipart_upload(**target, StorageClass=CHEAP)["UploadId"]
    (listed,) = s3.list_multipart_uploads(Bucket="data")["Uploads"]
    assert CHEAP == listed["StorageClass"]
    target["UploadId"] = upload
    one = s3.upload_part(**target, PartNumber=1, Body=io.BytesIO(PART))
    two = s3.upload_part_copy(**target, PartNumber=2, CopySource="data/source")
    assert CHEAP == s3.list_parts(**target)["StorageClass"]
    etags = (one["ETag"], two["CopyPartResult"]["ETag"])
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    assert ({"cheap"}, CHEAP) == (pools_of(two_pools, "parts"), class_of(s3, "parts"))
    assert PART + BODY == s3.get_object(Bucket="data", Key="parts")["Body"].read()


def test_copy_moves_bytes_between_pools_and_is_standard_unless_told(
    s3: Any, two_pools: RunningServer
) -> None:
    s3.put_object(Bucket="data", Key="origin", Body=BODY)
    for key, source, wanted in (
        ("there", "origin", {"StorageClass": CHEAP}),
        ("beside", "there", {"StorageClass": CHEAP}),
        ("back", "there", {}),
        ("origin", "origin", {"StorageClass": CHEAP}),
    ):
        s3.copy_object(Bucket="data", Key=key, CopySource=f"data/{source}", **wanted)
        pool = "cheap" if wanted else "default"
        assert ({pool}, wanted.get("StorageClass")) == (pools_of(two_pools, key), class_of(s3, key))
        assert BODY == s3.get_object(Bucket="data", Key=key)["Body"].read()


@pytest.mark.parametrize("wanted", ["GLACIER", "ONEZONE_IA"])
def test_class_without_a_pool_is_refused_everywhere(s3: Any, wanted: str) -> None:
    s3.put_object(Bucket="data", Key="there already", Body=BODY)
    target = {"Bucket": "data", "Key": "refused", "StorageClass": wanted}
    for call in (
        lambda: s3.put_object(**target, Body=BODY),
        lambda: s3.put_object(**target, Body=b""),
        lambda: s3.create_multipart_upload(**target),
        lambda: s3.copy_object(**target, CopySource="data/there already"),
    ):
        with pytest.raises(ClientError, match="InvalidStorageClass"):
            call()
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="data", Key="refused")
