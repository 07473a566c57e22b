"""Annotations of objects: attached, read, listed, removed; they go where their version goes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from s3server.core import records
from s3server.core.project_records import QuotaRecord, bucket_scope
from s3server.core.quotas import Quotas
from s3server.core.record_parts import Annotation
from s3server.meta.base import Put
from tests.ops.test_bucket_versioning import set_versioning
from tests.ops.test_encryption import customer
from tests.support.asgi_client import Answer, Client
from tests.support.served import Store


def named(name: str, more: str = "") -> str:
    return f"/data/key?annotation&annotationName={name}{more}"


async def annotate(
    client: Client, name: str, text: bytes = b"text", more: str = "", **sent: Any
) -> Answer:
    return await client("PUT", named(name, more), body=text, **sent)


async def names(client: Client, target: str = "/data/key?annotation") -> list[str]:
    answer = await client("GET", target)
    assert answer.status == 200
    return answer.texts("Annotations/AnnotationEntry/AnnotationName")


@pytest.fixture
async def kept(data: Store) -> Store:
    await data.alice.made("/data/key", body=b"content")
    return data


async def bytes_counted(store: Store, name: str = "bytes") -> int:
    bucket = (await store.services.buckets.find("data") or [None])[0]
    assert bucket is not None
    row = await store.meta.get(bucket_scope(bucket.id) + name.encode())
    return int.from_bytes(row or b"\0", "big", signed=True)


async def uses(store: Store) -> int:
    """Return how many references to blobs there are, apart from those that were given up."""
    counted = sum(
        records.decode(records.BlobRecord, row).uses
        for key, row in await store.rows()
        if key.startswith(records.BLOB)
    )
    given_up = sum(
        len(records.decode(records.GarbageRecord, row).blobs)
        for key, row in await store.rows()
        if key.startswith(records.GARBAGE)
    )
    return counted - given_up


async def test_annotation_comes_back_with_what_is_told_of_it(kept: Store) -> None:
    put = await annotate(kept.alice, "notes", "Schön".encode())
    assert (put.status, put.text("AnnotationName"), put.text("Key")) == (200, "notes", "key")
    got = await kept.alice("GET", named("notes"), headers={"x-amz-checksum-mode": "ENABLED"})
    assert (got.status, got.body.decode()) == (200, "Schön")
    assert got.header("etag") == put.header("etag")
    assert got.header("content-length") == "6"
    assert got.header("last-modified")
    assert got.header("x-amz-checksum-crc64nvme") == put.header("x-amz-checksum-crc64nvme")
    assert got.header("x-amz-checksum-crc64nvme")
    plain = await kept.alice("GET", named("notes"))
    assert plain.header("x-amz-checksum-crc64nvme") is None
    assert (await kept.alice("GET", "/data/key")).body == b"content"


async def test_list_has_pages_in_the_order_of_names(kept: Store) -> None:
    for name in ("b", "a/2", "a/1", "é"):
        await annotate(kept.alice, name.encode().hex() if name == "é" else name)
    assert await names(kept.alice) == ["a/1", "a/2", "b", "c3a9"]
    assert await names(kept.alice, "/data/key?annotation&annotation-prefix=a/") == ["a/1", "a/2"]
    first = await kept.alice("GET", "/data/key?annotation&max-annotation-results=3")
    token = first.text("NextContinuationToken")
    assert (first.text("AnnotationCount"), token) == ("3", "b")
    rest = f"/data/key?annotation&max-annotation-results=3&continuation-token={token}"
    assert await names(kept.alice, rest) == ["c3a9"]
    assert set(first.texts("Annotations/AnnotationEntry/Size")) == {"4"}


async def test_annotation_is_replaced_and_removed_and_its_bytes_with_it(kept: Store) -> None:
    await annotate(kept.alice, "notes", b"first")
    await annotate(kept.alice, "notes", b"second!")
    assert (await kept.alice("GET", named("notes"))).body == b"second!"
    assert (await uses(kept), await bytes_counted(kept)) == (2, 7 + 7)
    for _ in range(2):
        assert (await kept.alice("DELETE", named("notes"))).status == 204
    gone = await kept.alice("GET", named("notes"))
    assert gone.outcome == (404, "NoSuchAnnotation")
    assert (await uses(kept), await bytes_counted(kept)) == (1, 7)


async def test_annotations_go_with_their_version(kept: Store) -> None:
    await annotate(kept.alice, "notes")
    await kept.alice.made("/data/key", body=b"another")
    assert await names(kept.alice) == []
    assert (await uses(kept), await bytes_counted(kept)) == (1, 7)
    await annotate(kept.alice, "notes")
    await kept.alice("DELETE", "/data/key")
    assert (await uses(kept), await bytes_counted(kept)) == (0, 0)


async def test_each_version_has_its_own(kept: Store) -> None:
    await set_versioning(kept.alice, "Enabled")
    await annotate(kept.alice, "old")
    new = (await kept.alice("PUT", "/data/key", body=b"new")).header("x-amz-version-id")
    assert await names(kept.alice) == []
    assert await names(kept.alice, "/data/key?annotation&versionId=null") == ["old"]
    put = await annotate(kept.alice, "second", more="&versionId=null")
    assert put.header("x-amz-object-version-id") == "null"
    assert await names(kept.alice, "/data/key?annotation&versionId=null") == ["old", "second"]
    assert await names(kept.alice, f"/data/key?annotation&versionId={new}") == []
    assert await bytes_counted(kept, "old-bytes") == 7 + 8
    await kept.alice("DELETE", "/data/key?versionId=null")
    assert (await uses(kept), await bytes_counted(kept, "old-bytes")) == (1, 0)


async def test_copy_takes_them_along_unless_told_otherwise(kept: Store) -> None:
    await annotate(kept.alice, "notes")
    source = {"x-amz-copy-source": "data/key"}
    await kept.alice.made("/data/copy", headers=source)
    assert await names(kept.alice, "/data/copy?annotation") == ["notes"]
    assert await uses(kept) == 4
    await kept.alice("DELETE", "/data/key")
    text = await kept.alice("GET", "/data/copy?annotation&annotationName=notes")
    assert text.body == b"text"
    source = {"x-amz-copy-source": "data/copy", "x-amz-object-annotation-directive": "EXCLUDE"}
    await kept.alice.made("/data/bare", headers=source)
    assert await names(kept.alice, "/data/bare?annotation") == []


BAD = {
    "too long": (named("n" * 513), b"x", (400, "AnnotationNameTooLong")),
    "of aws": (named("AWS-notes"), b"x", (400, "InvalidAnnotationName")),
    "of s3": (named("s3x"), b"x", (400, "InvalidAnnotationName")),
    "control": (named("a%0ab"), b"x", (400, "InvalidAnnotationName")),
    "nothing": (named("a"), b"", (400, "InvalidRequest")),
    "large": (named("a"), b"x" * (1 << 20 | 1), (400, "EntityTooLarge")),
    "no text": (named("a"), b"\xff\xfe", (415, "UnsupportedMediaType")),
    "half a character": (named("a"), b"x\xc3", (415, "UnsupportedMediaType")),
    "no such version": (named("a", "&versionId=" + "0" * 16), b"x", (404, "NoSuchVersion")),
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_annotation_is_refused_and_changes_nothing(kept: Store, what: str) -> None:
    target, text, outcome = BAD[what]
    before = await kept.rows()
    assert (await kept.alice("PUT", target, body=text)).outcome == outcome
    assert await kept.rows() == before


async def test_missing_object_has_none(data: Store) -> None:
    for method, target in (
        ("PUT", named("a")), ("GET", named("a")), ("GET", "/data/key?annotation"),
        ("DELETE", named("a")),
    ):  # fmt: skip
        answer = await data.alice(method, target, body=b"x" if method == "PUT" else b"")
        assert answer.outcome == (404, "NoSuchKey"), (method, target)


async def test_condition_is_on_the_object(kept: Store) -> None:
    etag = (await kept.alice("HEAD", "/data/key")).header("etag") or ""
    for method in ("PUT", "DELETE"):
        wrong = {"x-amz-object-if-match": '"0123"'}
        text = b"x" if method == "PUT" else b""
        answer = await kept.alice(method, named("a"), body=text, headers=wrong)
        assert answer.outcome == (412, "PreconditionFailed")
    assert (await annotate(kept.alice, "a", headers={"x-amz-object-if-match": etag})).status == 200


async def test_limit_is_1000(kept: Store) -> None:
    bucket = (await kept.services.buckets.find("data") or [None])[0]
    assert bucket is not None
    record = await kept.services.objects.get(bucket, "key")
    many = tuple(Annotation(f"n{at:04}", 1, "e", 0, b"") for at in range(999))
    full = records.encode(replace(record, annotations=many))
    await kept.meta.commit([Put(records.object_key(bucket.id, "key"), full)])
    assert (await annotate(kept.alice, "x1")).status == 200
    assert (await annotate(kept.alice, "x2")).outcome == (400, "AnnotationLimitExceeded")
    assert (await annotate(kept.alice, "x1", b"again")).status == 200


async def test_annotations_count_for_quotas(kept: Store) -> None:
    bucket = await kept.services.buckets.get("data")
    await Quotas(kept.meta).put(bucket_scope(bucket.id), QuotaRecord(bytes=7 + 4))
    assert (await annotate(kept.alice, "one")).status == 200
    assert (await annotate(kept.alice, "two", b"x")).outcome == (403, "QuotaExceeded")
    assert await names(kept.alice) == ["one"]


async def test_each_operation_has_its_permission(kept: Store) -> None:
    await annotate(kept.alice, "notes")
    for allowed in ("GetObjectAnnotation", "ListObjectAnnotations", "PutObjectAnnotation",
                    "DeleteObjectAnnotation"):  # fmt: skip
        statement = {"Effect": "Allow", "Principal": "*", "Action": f"s3:{allowed}",
                     "Resource": "arn:aws:s3:::data/*"}  # fmt: skip
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
        await kept.alice.sent("/data?policy", document)
        outcomes = {
            "GetObjectAnnotation": await kept.bob("GET", named("notes")),
            "ListObjectAnnotations": await kept.bob("GET", "/data/key?annotation"),
            "PutObjectAnnotation": await annotate(kept.bob, "bobs"),
            "DeleteObjectAnnotation": await kept.bob("DELETE", named("bobs")),
        }
        assert {name for name, answer in outcomes.items() if answer.status < 300} == {allowed}
        assert {answer.status for answer in outcomes.values()} <= {200, 204, 403}


async def test_annotations_are_encrypted_like_their_object(data: Store) -> None:
    encrypted = {"x-amz-server-side-encryption": "AES256"}
    await data.alice.made("/data/key", body=b"content", headers=encrypted)
    put = await annotate(data.alice, "notes", b"plain text")
    assert put.header("x-amz-server-side-encryption") == "AES256"
    assert (await data.alice("GET", named("notes"))).body == b"plain text"
    stored = b"".join(data.pool._blobs.values())
    assert b"plain text" not in stored


async def test_annotation_of_a_locked_version_stays(store: Store) -> None:
    """It is neither removed nor replaced; more may come."""
    lock = {"x-amz-bucket-object-lock-enabled": "true"}
    await store.alice.made("/data", headers=lock)
    until = (store.clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    held = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until}
    await store.alice.made("/data/key", body=b"content", headers=held)
    assert (await annotate(store.alice, "notes")).status == 200
    with store.untouched():
        assert (await store.alice("DELETE", named("notes"))).outcome == (403, "AccessDenied")
    assert (await annotate(store.alice, "notes", b"other")).outcome == (403, "AccessDenied")
    assert (await annotate(store.alice, "more")).status == 200
    assert (await store.alice("GET", named("notes"))).body == b"text"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert (await store.alice("DELETE", named("notes"), headers=bypass)).status == 204


async def test_object_of_a_customers_key_has_none(data: Store) -> None:
    client = data.alice.changed(scheme="https")
    await client.made("/data/key", body=b"content", headers=customer())
    before = await data.rows()
    assert (await annotate(data.alice, "notes")).outcome == (400, "InvalidRequest")
    assert await data.rows() == before
