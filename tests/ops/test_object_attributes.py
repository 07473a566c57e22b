"""GetObjectAttributes: what is asked for is told, parts by pages."""

from __future__ import annotations

import base64
import hashlib
from zlib import crc32

from tests.support.served import Store
from tests.support.uploads import complete_upload

BODY = b"content of an object"
ALL = {"x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"}
PART = 5 * 1024 * 1024


def crc(data: bytes) -> str:
    return base64.b64encode(crc32(data).to_bytes(4, "big")).decode()


async def test_attributes_of_a_plain_object(data: Store) -> None:
    await data.alice.made("/data/key", body=BODY, headers={"x-amz-checksum-crc32": crc(BODY)})
    got = await data.alice("GET", "/data/key?attributes", headers=ALL)
    assert got.status == 200
    assert got.document.tag == "GetObjectAttributesResponse"
    assert got.text("ETag") == hashlib.md5(BODY).hexdigest()
    assert got.text("Checksum/ChecksumCRC32") == crc(BODY)
    assert got.text("Checksum/ChecksumType") == "FULL_OBJECT"
    assert (got.text("ObjectSize"), got.text("StorageClass")) == (str(len(BODY)), "STANDARD")
    assert got.document.find("ObjectParts") is None
    assert got.header("last-modified") == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_only_what_is_asked_for_is_told(data: Store) -> None:
    await data.alice.made("/data/key", body=BODY)
    asked = {"x-amz-object-attributes": "ObjectSize"}
    got = await data.alice("GET", "/data/key?attributes", headers=asked)
    assert [child.tag for child in got.document] == ["ObjectSize"]


async def test_parts_are_told_by_pages_with_their_checksums(data: Store) -> None:
    pieces = [b"a" * PART, b"b" * PART, b"c"]
    await complete_upload(data.alice, "/data/key", pieces, algorithm="CRC32")
    headers = {"x-amz-object-attributes": "ObjectParts,Checksum", "x-amz-max-parts": "2"}
    first = await data.alice("GET", "/data/key?attributes", headers=headers)
    assert first.text("ObjectParts/PartsCount") == "3"
    assert first.text("ObjectParts/IsTruncated") == "true"
    assert first.texts("ObjectParts/Part/Size") == [str(PART)] * 2
    assert first.texts("ObjectParts/Part/ChecksumCRC32") == [crc(piece) for piece in pieces[:2]]
    headers["x-amz-part-number-marker"] = first.text("ObjectParts/NextPartNumberMarker") or ""
    second = await data.alice("GET", "/data/key?attributes", headers=headers)
    assert second.texts("ObjectParts/Part/PartNumber") == ["3"]
    assert second.text("ObjectParts/IsTruncated") == "false"
    assert (second.text("Checksum/ChecksumCRC32") or "").endswith("-3")
    assert second.text("Checksum/ChecksumType") == "COMPOSITE"


async def test_refusals(data: Store) -> None:
    await data.alice.made("/data/key", body=BODY)
    missing = await data.alice("GET", "/data/other?attributes", headers=ALL)
    assert missing.outcome == (404, "NoSuchKey")
    unnamed = await data.alice("GET", "/data/key?attributes")
    assert unnamed.outcome == (400, "InvalidRequest")
    unknown = {"x-amz-object-attributes": "Colour"}
    answer = await data.alice("GET", "/data/key?attributes", headers=unknown)
    assert answer.outcome == (400, "InvalidArgument")
    assert (await data.bob("GET", "/data/key?attributes", headers=ALL)).outcome == (
        403,
        "AccessDenied",
    )
