"""UploadPart, UploadPartCopy, ListParts."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from s3server.core import multipart
from s3server.ops import multipart_parts
from s3server.wire.checksums import ALGORITHMS
from tests.support.asgi_client import Answer
from tests.support.served import Store
from tests.support.uploads import begin, complete, send_part

PATH = "/data/key"
SOURCE = random.Random(5).randbytes(300_000)


@pytest.fixture
async def upload(data: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 1)
    return await begin(data.alice, PATH)


async def test_part_is_told_by_its_md5(data: Store, upload: str) -> None:
    answer = await data.alice("PUT", f"{PATH}?partNumber=1&uploadId={upload}", body=b"part")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("etag") == f'"{hashlib.md5(b"part").hexdigest()}"'


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "1.5", "2147483648"])
async def test_part_number_out_of_range_stores_nothing(
    data: Store, upload: str, number: str
) -> None:
    with data.untouched():
        answer = await data.alice("PUT", f"{PATH}?partNumber={number}&uploadId={upload}", body=b"x")
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "partNumber"


@pytest.mark.parametrize("query", ["partNumber=1", "uploadId=x", "partNumber=&uploadId=UPLOAD"])
async def test_half_a_part_request_never_writes_the_object(
    data: Store, upload: str, query: str
) -> None:
    with data.untouched():
        answer = await data.alice("PUT", f"{PATH}?{query.replace('UPLOAD', upload)}", body=b"x")
    assert answer.status in (400, 405)
    assert (await data.alice("GET", PATH)).outcome == (404, "NoSuchKey")


async def test_last_part_number_is_10000(data: Store, upload: str) -> None:
    part = await send_part(data.alice, PATH, upload, 10_000, b"x")
    assert (await complete(data.alice, PATH, upload, [part])).status == 200


async def test_part_of_no_bytes_is_a_part(data: Store, upload: str) -> None:
    part = await send_part(data.alice, PATH, upload, 1, b"")
    answer = await complete(data.alice, PATH, upload, [part])
    assert answer.status == 200
    got = await data.alice("GET", PATH)
    assert (got.status, got.body, got.header("content-length")) == (200, b"", "0")


async def test_part_of_a_plain_upload_takes_no_key(data: Store, upload: str) -> None:
    target = f"{PATH}?partNumber=1&uploadId={upload}"
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
    with data.untouched():
        answer = await data.alice("PUT", target, body=b"x", headers=headers)
    assert answer.outcome == (400, "InvalidRequest")


async def copy_part(
    store: Store, upload: str, number: int, source: str = "data/source", **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await store.alice(
        "PUT",
        f"{PATH}?partNumber={number}&uploadId={upload}",
        headers={"x-amz-copy-source": source, **named},
    )


@pytest.fixture
async def source(data: Store) -> Store:
    await data.alice.made("/data/source", body=SOURCE)
    return data


async def test_parts_are_copied_whole_and_in_ranges(source: Store, upload: str) -> None:
    whole = await copy_part(source, upload, 1)
    piece = await copy_part(source, upload, 2, x_amz_copy_source_range="bytes=100-299998")
    assert piece.document.tag == "CopyPartResult"
    assert piece.text("ETag") == f'"{hashlib.md5(SOURCE[100:299_999]).hexdigest()}"'
    assert piece.text("LastModified") == "2026-09-21T14:13:20.000Z"
    parts = [(n, answer.text("ETag") or "") for n, answer in ((1, whole), (2, piece))]
    assert (await complete(source.alice, PATH, upload, parts)).status == 200
    assert (await source.alice("GET", PATH)).body == SOURCE + SOURCE[100:299_999]


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
async def test_copied_part_has_the_checksum_of_its_upload(source: Store, algorithm: str) -> None:
    upload = await begin(source.alice, PATH, {"x-amz-checksum-algorithm": algorithm})
    answer = await copy_part(source, upload, 1)
    running = ALGORITHMS[algorithm].new()
    running.update(SOURCE)
    expected = base64.b64encode(running.digest()).decode()
    assert answer.text(f"Checksum{algorithm}") == expected


async def test_copied_part_of_a_composed_object_is_right(source: Store, upload: str) -> None:
    parts = [await send_part(source.alice, PATH, upload, n, SOURCE) for n in (1, 2)]
    await complete(source.alice, PATH, upload, parts)
    second = await begin(source.alice, PATH)
    answer = await copy_part(
        source, second, 1, "data/key", x_amz_copy_source_range="bytes=299990-300009"
    )
    joined = SOURCE[-10:] + SOURCE[:10]
    assert answer.text("ETag") == f'"{hashlib.md5(joined).hexdigest()}"'


@pytest.mark.parametrize(
    "span",
    [
        "bytes=0-300000",
        "bytes=300000-300001",
        "bytes=5-",
        "bytes=-5",
        "bytes=5-1",
        "0-5",
        "bytes=a-b",
        "bytes=0-1,4-5",
        "bytes=0-99999999999999999999999",
    ],
)
async def test_span_outside_the_source_is_refused(source: Store, upload: str, span: str) -> None:
    before = await source.rows()
    answer = await copy_part(source, upload, 1, x_amz_copy_source_range=span)
    assert answer.outcome == (400, "InvalidArgument")
    assert await source.rows() == before


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("data/missing", (404, "NoSuchKey")),
        ("missing/key", (404, "NoSuchBucket")),
        ("data/source?versionId=3", (400, "InvalidArgument")),
    ],
)
async def test_source_that_is_not_there_is_refused(
    source: Store, upload: str, name: str, outcome: tuple[int, str]
) -> None:
    assert (await copy_part(source, upload, 1, name)).outcome == outcome


async def test_part_cannot_be_copied_from_a_private_bucket(source: Store) -> None:
    """CVE-2026-39360: UploadPartCopy without leave for the source."""
    await source.bob.made("/mine")
    upload = await begin(source.bob, "/mine/key")
    target = f"/mine/key?partNumber=1&uploadId={upload}"
    with source.untouched():
        answer = await source.bob("PUT", target, headers={"x-amz-copy-source": "data/source"})
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("x_amz_copy_source_if_match", '"0"', 412),
        ("x_amz_copy_source_if_none_match", "ETAG", 412),
        ("x_amz_copy_source_if_match", "ETAG", 200),
        ("x_amz_copy_source_if_unmodified_since", "Mon, 21 Sep 2026 14:13:19 GMT", 412),
        ("x_amz_copy_source_if_modified_since", "Mon, 21 Sep 2026 14:13:20 GMT", 412),
    ],
)
async def test_conditions_on_the_source_decide(
    source: Store, upload: str, name: str, value: str, status: int
) -> None:
    etag = f'"{hashlib.md5(SOURCE).hexdigest()}"'
    answer = await copy_part(source, upload, 1, **{name: value.replace("ETAG", etag)})
    assert answer.status == status


async def test_copied_part_above_the_limit_is_refused(
    source: Store, upload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart_parts, "MAX_PART_BYTES", 10)
    answer = await copy_part(source, upload, 1, x_amz_copy_source_range="bytes=0-10")
    assert answer.outcome == (400, "EntityTooLarge")
    allowed = await copy_part(source, upload, 1, x_amz_copy_source_range="bytes=0-9")
    assert allowed.status == 200


async def test_parts_are_listed_with_what_was_said_of_them(data: Store, upload: str) -> None:
    for number in (3, 1, 2):
        await send_part(data.alice, PATH, upload, number, b"x" * number)
    answer = await data.alice("GET", f"{PATH}?uploadId={upload}")
    assert answer.document.tag == "ListPartsResult"
    assert answer.texts("Part/PartNumber") == ["1", "2", "3"]
    assert answer.texts("Part/Size") == ["1", "2", "3"]
    assert answer.text("Part/ETag") == f'"{hashlib.md5(b"x").hexdigest()}"'
    assert (answer.text("UploadId"), answer.text("Key")) == (upload, "key")
    assert (answer.text("IsTruncated"), answer.text("MaxParts")) == ("false", "1000")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
async def test_pages_of_parts_add_up(data: Store, upload: str, size: int) -> None:
    numbers = [1, 2, 3, 50, 9_999, 10_000]
    for number in numbers:
        await send_part(data.alice, PATH, upload, number, b"x")
    found: list[int] = []
    marker = "0"
    for _ in range(7):
        target = f"{PATH}?uploadId={upload}&max-parts={size}&part-number-marker={marker}"
        page = await data.alice("GET", target)
        assert page.text("PartNumberMarker") == marker
        found += [int(number) for number in page.texts("Part/PartNumber")]
        if page.text("IsTruncated") == "false":
            break
        marker = page.text("NextPartNumberMarker") or ""
    assert found == numbers


@pytest.mark.parametrize(
    ("marker", "outcome"),
    [
        ("10000", (200, "")),
        ("2147483647", (200, "")),
        ("-1", (400, "InvalidArgument")),
        ("x", (400, "InvalidArgument")),
        ("99999999999999999999", (400, "InvalidArgument")),
        ("0", (200, "")),
        ("", (200, "")),
    ],
)
async def test_marker_of_parts_is_a_number(
    data: Store, upload: str, marker: str, outcome: tuple[int, str]
) -> None:
    answer = await data.alice("GET", f"{PATH}?uploadId={upload}&part-number-marker={marker}")
    assert answer.outcome == outcome


@pytest.mark.parametrize("size", ["-1", "x"])
async def test_page_size_that_is_no_number_is_refused(data: Store, upload: str, size: str) -> None:
    answer = await data.alice("GET", f"{PATH}?uploadId={upload}&max-parts={size}")
    assert answer.outcome == (400, "InvalidArgument")
