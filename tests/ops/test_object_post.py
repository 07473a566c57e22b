"""PostObject: uploads by forms, signed by their policies or by nobody."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest

from tests.support.asgi_client import Answer
from tests.support.forms import BOUNDARY, encode_form, post, signed_fields
from tests.support.served import DiskStore, Store

CONTENT = b"the content of a photo"
ETAG = f'"{hashlib.md5(CONTENT).hexdigest()}"'
KEY = {"key": "photos/1"}
ANY_KEY = [{"bucket": "data"}, ["starts-with", "$key", "photos/"]]


async def send(
    store: Store,
    fields: dict[str, str],
    conditions: list[Any],
    content: bytes = CONTENT,
    *,
    version: int = 4,
    form: dict[str, Any] | None = None,
    **options: Any,
) -> Answer:
    signed = signed_fields(store.alice, conditions, fields, version=version, **options)
    return await post(store.nobody, "/data", encode_form(signed, content, **(form or {})))


@pytest.mark.parametrize("version", [2, 4])
async def test_signed_form_stores_its_file(data: Store, version: int) -> None:
    answer = await send(data, KEY, ANY_KEY, version=version)
    assert (answer.status, answer.body, answer.header("etag")) == (204, b"", ETAG)
    assert answer.header("location") == "http://s3.test/data/photos/1"
    got = await data.alice("GET", "/data/photos/1")
    assert (got.body, got.header("etag")) == (CONTENT, ETAG)


async def test_bucket_in_the_host_name_is_the_bucket(data: Store) -> None:
    body = encode_form(signed_fields(data.alice, ANY_KEY, KEY), CONTENT)
    answer = await post(data.nobody.changed(host="data.s3.test"), "/", body)
    assert answer.status == 204
    assert answer.header("location") == "http://data.s3.test/photos/1"


async def test_fields_are_stored_like_headers(data: Store) -> None:
    fields = {
        **KEY,
        "Content-Type": "image/jpeg",
        "Cache-Control": "no-cache",
        "Content-Disposition": "inline",
        "acl": "public-read",
        "x-amz-meta-Tag": "caf\u00e9",
    }
    rules = [["starts-with", f"${name}", ""] for name in fields if name != "key"]
    assert (await send(data, fields, [*ANY_KEY, *rules])).status == 204
    got = await data.nobody("GET", "/data/photos/1")
    told = dict(got.headers)
    assert told["content-type"] == "image/jpeg"
    assert told["cache-control"] == "no-cache"
    assert told["content-disposition"] == "inline"
    assert told["x-amz-meta-tag"] == "caf\u00e9"


@pytest.mark.parametrize(
    ("sent", "stored"), [("a.jpg", "a.jpg"), ("C:\\me\\b.jpg", "b.jpg"), ("/tmp/c.jpg", "c.jpg")]
)
async def test_file_name_takes_its_place(data: Store, sent: str, stored: str) -> None:
    fields = {"key": "photos/${filename}", "x-amz-meta-name": "${filename}"}
    rules = [*ANY_KEY, ["starts-with", "$x-amz-meta-name", ""]]
    assert (await send(data, fields, rules, form={"file_name": sent})).status == 204
    got = await data.alice("GET", f"/data/photos/{stored}")
    assert (got.body, got.header("x-amz-meta-name")) == (CONTENT, stored)


async def test_policy_holds_of_the_file_name_too(data: Store) -> None:
    fields = {"key": "${filename}"}
    answer = await send(data, fields, ANY_KEY, form={"file_name": "elsewhere.jpg"})
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize(("status", "expected"), [("200", 200), ("204", 204), ("404", 204)])
async def test_success_status_is_one_of_three(data: Store, status: str, expected: int) -> None:
    fields = {**KEY, "success_action_status": status}
    answer = await send(data, fields, [*ANY_KEY, {"success_action_status": status}])
    assert (answer.status, answer.body) == (expected, b"")


async def test_status_201_comes_with_a_document(data: Store) -> None:
    fields = {"key": "photos/<1>", "success_action_status": "201"}
    answer = await send(data, fields, [*ANY_KEY, {"success_action_status": "201"}])
    assert answer.status == 201
    assert answer.document.tag == "PostResponse"
    assert answer.text("Key") == "photos/<1>"
    assert (answer.text("Bucket"), answer.text("ETag")) == ("data", ETAG)
    assert answer.text("Location") == "http://s3.test/data/photos/%3C1%3E"
    assert answer.header("content-length") == str(len(answer.body))


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://portal.example/done", "https://portal.example/done?"),
        ("http://portal.example/?a=1#part", "http://portal.example/?a=1&"),
    ],
)
async def test_success_redirects(data: Store, url: str, location: str) -> None:
    fields = {**KEY, "success_action_redirect": url}
    answer = await send(data, fields, [*ANY_KEY, {"success_action_redirect": url}])
    told = "bucket=data&key=photos%2F1&etag=%22" + ETAG.strip('"') + "%22"
    fragment = "#part" if "#" in url else ""
    assert answer.status == 303
    assert answer.header("location") == location + told + fragment


@pytest.mark.parametrize(
    "url", ["portal", "javascript:alert(1)", "https://a b", "//x", "https://\u00e9.fr", "http://["]
)
async def test_what_is_no_url_is_not_redirected_to(data: Store, url: str) -> None:
    fields = {**KEY, "success_action_redirect": url}
    answer = await send(data, fields, [*ANY_KEY, {"success_action_redirect": url}])
    assert answer.status == 204
    assert url not in (answer.header("location") or "")


@pytest.mark.parametrize(("size", "code"), [(9, "EntityTooSmall"), (21, "EntityTooLarge")])
async def test_size_out_of_range_is_refused(data: Store, size: int, code: str) -> None:
    rules = [*ANY_KEY, ["content-length-range", 10, 20]]
    answer = await send(data, KEY, rules, b"x" * size)
    assert answer.outcome == (400, code)
    assert (await data.alice("GET", "/data/photos/1")).status == 404
    for size in (10, 20):
        assert (await send(data, KEY, rules, b"x" * size)).status == 204


async def test_too_large_is_refused_before_it_is_stored(data: Store) -> None:
    rules = [*ANY_KEY, ["content-length-range", 0, 1_000_000]]
    with data.untouched():
        answer = await send(data, KEY, rules, b"x" * 3_000_000)
    assert answer.outcome == (400, "EntityTooLarge")


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 40_000, 5_000_000])
async def test_any_size_comes_back(data: Store, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    answer = await send(data, KEY, ANY_KEY, content, form={"after": {"submit": "Upload"}})
    assert answer.status == 204
    got = await data.alice("GET", "/data/photos/1")
    assert got.body == content
    assert got.header("etag") == f'"{hashlib.md5(content).hexdigest()}"'
    part = await data.alice("GET", "/data/photos/1", headers={"range": "bytes=-5"})
    assert part.body == content[-5:] or size == 0


async def test_large_file_on_disks_comes_back_and_its_bytes_go_with_it(
    disk_store: DiskStore,
) -> None:
    await disk_store.root.made("/data")
    content = bytes(range(256)) * 20_000
    fields = signed_fields(disk_store.root, ANY_KEY, KEY)
    answer = await post(disk_store.nobody, "/data", encode_form(fields, content))
    assert answer.status == 204
    assert (await disk_store.root("GET", "/data/photos/1")).body == content


async def test_declared_checksum_is_verified_and_stored(data: Store) -> None:
    right = base64.b64encode(zlib.crc32(CONTENT).to_bytes(4, "big")).decode()
    rules = [*ANY_KEY, ["starts-with", "$x-amz-checksum-crc32", ""]]
    answer = await send(data, {**KEY, "x-amz-checksum-crc32": right}, rules)
    assert (answer.status, answer.header("x-amz-checksum-crc32")) == (204, right)
    wrong = await send(data, {**KEY, "x-amz-checksum-crc32": "AAAAAA=="}, rules)
    assert wrong.outcome == (400, "BadDigest")


async def test_nobody_may_post_where_everybody_may_write(data: Store) -> None:
    body = encode_form(KEY, CONTENT)
    assert (await post(data.nobody, "/data", body)).outcome == (403, "AccessDenied")
    await data.alice.made("/open", headers={"x-amz-acl": "public-read-write"})
    assert (await post(data.nobody, "/open", body)).status == 204
    assert (await data.nobody("GET", "/open/photos/1")).body == CONTENT


async def test_who_may_not_write_may_not_post(data: Store) -> None:
    fields = signed_fields(data.bob, ANY_KEY, KEY)
    with data.untouched():
        answer = await post(data.nobody, "/data", encode_form(fields, CONTENT))
    assert answer.outcome == (403, "AccessDenied")


async def test_wrong_secrets_and_unknown_keys_are_refused(data: Store) -> None:
    for version in (2, 4):
        answer = await send(data, KEY, ANY_KEY, version=version, secret="guessed")
        assert answer.outcome == (403, "SignatureDoesNotMatch")
    fields = signed_fields(data.alice, ANY_KEY, KEY)
    fields["x-amz-credential"] = fields["x-amz-credential"].replace("AKIAALICE", "AKIANOBODY")
    answer = await post(data.nobody, "/data", encode_form(fields, CONTENT))
    assert answer.outcome == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize(
    "missing", ["policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm"]
)
async def test_proof_in_part_is_refused(data: Store, missing: str) -> None:
    fields = signed_fields(data.alice, ANY_KEY, KEY)
    del fields[missing]
    answer = await post(data.nobody, "/data", encode_form(fields, CONTENT))
    assert answer.outcome == (400, "InvalidArgument")
    assert missing in (answer.text("Message") or "")


async def test_form_and_request_are_not_both_signed(data: Store) -> None:
    body = encode_form(signed_fields(data.alice, ANY_KEY, KEY), CONTENT)
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = await data.alice("POST", "/data", body=body, headers=headers)
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"acl": "private"}, (400, "InvalidArgument")),
        ({"key": ""}, (400, "InvalidArgument")),
        ({"key": "a\0b"}, (400, "InvalidURI")),
        ({"key": "x" * 1_025}, (400, "KeyTooLongError")),
        ({"key": "a", "acl": "everybody"}, (400, "InvalidArgument")),
        ({"key": "a", "x-amz-storage-class": "GLACIER"}, (400, "InvalidStorageClass")),
        ({"key": "a", "x-amz-meta-a": "b" * 2_048}, (400, "MetadataTooLarge")),
        ({"key": "a", "content-type": "a\r\nb: c"}, (400, "InvalidArgument")),
        ({"key": "a", "success_action_redirect": "http://a\r\nb: c"}, (400, "InvalidArgument")),
    ],
)
async def test_fields_that_cannot_be_stored_are_refused(
    data: Store, fields: dict[str, str], outcome: tuple[int, str]
) -> None:
    rules = [{"bucket": "data"}, *(["starts-with", f"${name}", ""] for name in fields)]
    with data.untouched():
        assert (await send(data, fields, rules)).outcome == outcome


async def test_expired_policy_is_refused(data: Store) -> None:
    answer = await send(data, KEY, ANY_KEY, lifetime_s=0)
    assert answer.outcome == (403, "AccessDenied")
    assert "expired" in (answer.text("Message") or "")


async def test_versioned_bucket_gives_the_form_a_version(data: Store) -> None:
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    md5 = base64.b64encode(hashlib.md5(enabled).digest()).decode()
    await data.alice.made("/data?versioning", body=enabled, headers={"content-md5": md5})
    answer = await send(data, KEY, ANY_KEY)
    version = answer.header("x-amz-version-id")
    assert version
    assert (await data.alice("GET", f"/data/photos/1?versionId={version}")).body == CONTENT


TAGGING = "<Tagging><TagSet>{}</TagSet></Tagging>"
TAG = "<Tag><Key>a+=b</Key><Value>caf\u00e9</Value></Tag>"


async def test_tags_come_as_a_document(data: Store) -> None:
    fields = {**KEY, "tagging": TAGGING.format(TAG)}
    answer = await send(data, fields, [*ANY_KEY, ["starts-with", "$tagging", ""]])
    assert answer.status == 204
    tags = await data.alice("GET", "/data/photos/1?tagging")
    assert tags.texts("TagSet/Tag/Key") == ["a+=b"]
    assert tags.texts("TagSet/Tag/Value") == ["caf\u00e9"]


@pytest.mark.parametrize(
    "document", ["a=b", "<Tagging/>", "<TagSet/>", TAGGING.format("<Tag/>"), TAGGING.format("<x/>")]
)
async def test_tags_that_are_no_document_are_refused(data: Store, document: str) -> None:
    fields = {**KEY, "tagging": document}
    answer = await send(data, fields, [*ANY_KEY, ["starts-with", "$tagging", ""]])
    assert answer.outcome == (400, "MalformedXML")
    assert (await data.alice("GET", "/data/photos/1")).outcome == (404, "NoSuchKey")
