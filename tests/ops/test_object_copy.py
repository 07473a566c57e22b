"""CopyObject."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from urllib.parse import quote

import pytest

from s3server.ops import object_copy
from s3server.ops.object_copy import parse_copy_source
from tests.support.asgi_client import Answer
from tests.support.served import Store, credential

BODY = b"content"
HEADERS = {"content-type": "text/csv", "x-amz-meta-a": "1", "cache-control": "no-store"}


@pytest.fixture
async def source(data: Store) -> Store:
    await data.alice.made("/data/key", body=BODY, headers=HEADERS)
    return data


async def copy(store: Store, source: str, target: str = "/data/copy", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await store.alice("PUT", target, headers={"x-amz-copy-source": source, **named})


async def test_copy_has_bytes_headers_and_metadata_of_its_source(source: Store) -> None:
    answer = await copy(source, "/data/key")
    assert answer.status == 200
    assert answer.document.tag == "CopyObjectResult"
    got = await source.alice("GET", "/data/copy")
    assert answer.text("ETag") == got.header("etag")
    assert answer.text("LastModified") == "2026-09-21T14:13:20.000Z"
    assert got.body == BODY
    assert {name: got.header(name) for name in HEADERS} == HEADERS


async def test_copy_writes_no_bytes_and_outlives_its_source(source: Store) -> None:
    await copy(source, "data/key")
    assert source.pool.blob_count == 1
    await source.alice.made("/data/key", method="DELETE")
    assert (await source.alice("GET", "/data/copy")).body == BODY


async def test_replaced_metadata_is_that_of_the_request(source: Store) -> None:
    answer = await copy(
        source,
        "data/key",
        x_amz_metadata_directive="REPLACE",
        content_type="text/plain",
        x_amz_meta_b="2",
    )
    assert answer.status == 200
    got = await source.alice("GET", "/data/copy")
    told = {name: got.header(name) for name in (*HEADERS, "x-amz-meta-b")}
    assert told == {
        "content-type": "text/plain",
        "x-amz-meta-a": None,
        "cache-control": None,
        "x-amz-meta-b": "2",
    }


async def test_metadata_of_the_request_is_not_used_without_the_directive(source: Store) -> None:
    await copy(source, "data/key", x_amz_meta_b="2", content_type="text/plain")
    got = await source.alice("GET", "/data/copy")
    assert (got.header("x-amz-meta-b"), got.header("content-type")) == (None, "text/csv")


async def test_object_onto_itself_needs_a_change(source: Store) -> None:
    with source.untouched():
        answer = await copy(source, "data/key", "/data/key")
    assert answer.outcome == (400, "InvalidRequest")
    changed = await copy(
        source, "data/key", "/data/key", x_amz_metadata_directive="REPLACE", x_amz_meta_b="2"
    )
    assert changed.status == 200
    got = await source.alice("GET", "/data/key")
    assert (got.body, got.header("x-amz-meta-b")) == (BODY, "2")


async def test_new_redirect_is_a_change(source: Store) -> None:
    redirect = "/elsewhere"
    answer = await copy(source, "data/key", "/data/key", x_amz_website_redirect_location=redirect)
    assert answer.status == 200
    got = await source.alice("HEAD", "/data/key")
    assert got.header("x-amz-website-redirect-location") == redirect


KEYS = ["a b", "a+b", "a%2Fb", "été", "..", "//", "a?versionId=null", "a&b", "\n", "%"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_source_is_decoded_once(data: Store, key: str, slash: str) -> None:
    path = "/data/" + quote(key)
    await data.alice.made(path, body=BODY)
    answer = await copy(data, f"{slash}data/{quote(key)}")
    assert answer.status == 200, answer.body
    assert (await data.alice("GET", "/data/copy")).body == BODY


async def test_null_version_of_the_source_is_the_source(source: Store) -> None:
    assert (await copy(source, "data/key?versionId=null")).status == 200


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        ("data/missing", (404, "NoSuchKey")),
        ("missing/key", (404, "NoSuchBucket")),
        ("data/", (400, "InvalidArgument")),
        ("data", (400, "InvalidArgument")),
        ("/", (400, "InvalidArgument")),
        ("", (400, "InvalidArgument")),
        ("//data/key", (400, "InvalidArgument")),
        ("data/%ff", (400, "InvalidArgument")),
        ("data/%00", (400, "InvalidArgument")),
        ("arn:aws:s3:::data/key", (400, "InvalidArgument")),
        ("data/" + "k" * 1_025, (400, "KeyTooLongError")),
        ("data/key?versionId=3", (400, "InvalidArgument")),
        ("data/key?versionId=", (400, "InvalidArgument")),
        ("data/key?versionId=" + "0" * 16, (404, "NoSuchVersion")),
        ("data/key?other=1", (400, "InvalidArgument")),
    ],
)
async def test_source_that_cannot_be_copied_is_refused(
    source: Store, header: str, outcome: tuple[int, str]
) -> None:
    before = await source.rows()
    assert (await copy(source, header)).outcome == outcome
    assert await source.rows() == before


CONDITIONS = [
    ("x_amz_copy_source_if_match", "ETAG", 200),
    ("x_amz_copy_source_if_match", '"0"', 412),
    ("x_amz_copy_source_if_none_match", "ETAG", 412),
    ("x_amz_copy_source_if_none_match", '"0"', 200),
    ("x_amz_copy_source_if_modified_since", "Mon, 21 Sep 2026 14:13:19 GMT", 200),
    ("x_amz_copy_source_if_modified_since", "Mon, 21 Sep 2026 14:13:20 GMT", 412),
    ("x_amz_copy_source_if_unmodified_since", "Mon, 21 Sep 2026 14:13:19 GMT", 412),
    ("x_amz_copy_source_if_unmodified_since", "Mon, 21 Sep 2026 14:13:20 GMT", 200),
]


@pytest.mark.parametrize(("name", "value", "status"), CONDITIONS)
async def test_conditions_on_the_source_decide(
    source: Store, name: str, value: str, status: int
) -> None:
    etag = (await source.alice("HEAD", "/data/key")).header("etag") or ""
    answer = await copy(source, "data/key", **{name: value.replace("ETAG", etag)})
    assert answer.status == status


async def test_conditions_on_the_target_decide(source: Store) -> None:
    assert (await copy(source, "data/key", if_none_match="*")).status == 200
    assert (await copy(source, "data/key", if_none_match="*")).outcome == (
        412,
        "PreconditionFailed",
    )


@pytest.mark.parametrize("who", ["bob", None])
async def test_reader_of_the_target_cannot_copy_from_a_private_bucket(
    source: Store, who: str | None
) -> None:
    """CVE-2026-39360: writing needs leave for the target, and reading leave for the source."""
    await source.bob.made("/mine", headers={"x-amz-acl": "public-read-write"})
    header = {"x-amz-copy-source": "data/key"}
    with source.untouched():
        answer = await source.client(who)("PUT", "/mine/copy", headers=header)
    assert answer.outcome == (403, "AccessDenied")


async def test_public_source_may_be_copied(source: Store) -> None:
    await source.alice.made("/data/open", body=b"open", headers={"x-amz-acl": "public-read"})
    await source.bob.made("/mine")
    header = {"x-amz-copy-source": "data/open"}
    assert (await source.bob("PUT", "/mine/copy", headers=header)).status == 200
    assert (await source.bob("GET", "/mine/copy")).body == b"open"


async def test_acl_is_not_copied(source: Store) -> None:
    await source.alice.made("/data/open", body=b"open", headers={"x-amz-acl": "public-read"})
    await copy(source, "data/open")
    assert (await source.nobody("GET", "/data/copy")).outcome == (403, "AccessDenied")


async def test_expected_owner_of_the_source_must_be_its_owner(source: Store) -> None:
    wrong = credential("bob").principal.id
    answer = await copy(source, "data/key", x_amz_source_expected_bucket_owner=wrong)
    assert answer.outcome == (403, "AccessDenied")
    right = credential("alice").principal.id
    answer = await copy(source, "data/key", x_amz_source_expected_bucket_owner=right)
    assert answer.status == 200


async def test_source_above_the_limit_is_refused(
    source: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_copy, "MAX_COPY_BYTES", len(BODY) - 1)
    before = await source.rows()
    assert (await copy(source, "data/key")).outcome == (400, "InvalidRequest")
    assert await source.rows() == before


@pytest.mark.parametrize("directive", ["copy", "MERGE"])
async def test_unknown_directive_is_refused(source: Store, directive: str) -> None:
    answer = await copy(source, "data/key", x_amz_metadata_directive=directive)
    assert answer.outcome == (400, "InvalidArgument")


SHA256 = b64encode(sha256(BODY).digest()).decode()


async def checksum(store: Store, key: str) -> tuple[str | None, str | None]:
    """Return the SHA-256 that an object has, and of what it is."""
    told = await store.alice("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"})
    return told.header("x-amz-checksum-sha256"), told.header("x-amz-checksum-type")


async def test_copy_has_the_checksum_that_is_asked_for(source: Store) -> None:
    answer = await copy(source, "data/key", x_amz_checksum_algorithm="SHA256")
    assert answer.text("ChecksumSHA256") == SHA256
    assert await checksum(source, "/data/copy") == (SHA256, "FULL_OBJECT")
    assert (await source.alice("GET", "/data/copy")).body == BODY
    assert (await source.alice("HEAD", "/data/copy")).header("etag") == answer.text("ETag")
    assert source.pool.blob_count == 2
    again = await copy(source, "data/copy", "/data/third", x_amz_checksum_algorithm="SHA256")
    assert again.text("ChecksumSHA256") == SHA256
    assert source.pool.blob_count == 2  # the second one has its source's


async def test_object_gets_a_checksum_by_a_copy_onto_itself(source: Store) -> None:
    answer = await copy(source, "data/key", "/data/key", x_amz_checksum_algorithm="SHA256")
    assert answer.status == 200
    assert await checksum(source, "/data/key") == (SHA256, "FULL_OBJECT")
    got = await source.alice("GET", "/data/key")
    assert (got.body, got.header("content-type")) == (BODY, "text/csv")


async def test_checksum_of_no_algorithm_is_refused(source: Store) -> None:
    answer = await copy(source, "data/key", x_amz_checksum_algorithm="SHA3")
    assert answer.outcome == (400, "InvalidRequest")


async def test_copy_of_an_empty_object_has_its_checksum(data: Store) -> None:
    await data.alice.made("/data/empty")
    await copy(data, "data/empty", x_amz_checksum_algorithm="SHA256")
    empty = b64encode(sha256(b"").digest()).decode()
    assert await checksum(data, "/data/copy") == (empty, "FULL_OBJECT")


async def test_copy_of_an_empty_object_is_empty(data: Store) -> None:
    await data.alice.made("/data/empty")
    await copy(data, "data/empty")
    assert (await data.alice("GET", "/data/copy")).body == b""


def test_source_is_a_bucket_and_a_key() -> None:
    assert parse_copy_source("/bucket//key/") == ("bucket", "/key/", None)
    assert parse_copy_source("bucket%2Fkey?versionId=") == ("bucket", "key", "")
    assert parse_copy_source("bucket/a+key%2Bb%20c") == ("bucket", "a key+b c", None)
