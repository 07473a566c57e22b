"""PutObjectTagging, GetObjectTagging, DeleteObjectTagging, and tags of uploads and copies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest

from tests.ops.test_bucket_versioning import put, set_versioning
from tests.support.asgi_client import Client
from tests.support.served import Store

Tags = Sequence[tuple[str, str]]


def document(tags: Tags) -> bytes:
    items = "".join(
        f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in tags
    )
    return f"<Tagging><TagSet>{items}</TagSet></Tagging>".encode()


async def tags_of(client: Client, target: str = "/data/key?tagging") -> list[tuple[str, str]]:
    answer = await client("GET", target)
    assert answer.status == 200
    assert answer.document.tag == "Tagging"
    return [
        (tag.findtext("Key") or "", tag.findtext("Value") or "")
        for tag in answer.document.findall("TagSet/Tag")
    ]


@pytest.fixture
async def tagged(data: Store) -> Store:
    await data.alice.made("/data/key", body=b"x", headers={"x-amz-tagging": "a=1&b%20c=%C3%A9"})
    return data


async def test_tags_of_an_upload_are_told_and_counted(tagged: Store) -> None:
    assert await tags_of(tagged.alice) == [("a", "1"), ("b c", "é")]
    for method in ("GET", "HEAD"):
        answer = await tagged.alice(method, "/data/key")
        assert answer.header("x-amz-tagging-count") == "2"
    await tagged.alice.made("/data/key", body=b"overwritten")
    assert await tags_of(tagged.alice) == []
    assert (await tagged.alice("GET", "/data/key")).header("x-amz-tagging-count") is None


async def test_tags_are_replaced_and_removed_as_a_set(tagged: Store) -> None:
    before = await tagged.alice("HEAD", "/data/key")
    tags = [("c", ""), ("d:/@", "2")]
    assert (await tagged.alice.configure("/data/key?tagging", document(tags))).status == 200
    assert await tags_of(tagged.alice) == tags
    after = await tagged.alice("HEAD", "/data/key")
    assert after.header("last-modified") == before.header("last-modified")
    deleted = await tagged.alice("DELETE", "/data/key?tagging")
    assert (deleted.status, deleted.body) == (204, b"")
    assert await tags_of(tagged.alice) == []
    assert (await tagged.alice("GET", "/data/key")).body == b"x"


async def test_tags_are_those_of_a_version(data: Store) -> None:
    await set_versioning(data.alice, "Enabled")
    first, second = await put(data.alice, b"1"), await put(data.alice, b"2")
    target = f"/data/key?tagging&versionId={first}"
    answer = await data.alice.configure(target, document([("of", "first")]))
    assert answer.header("x-amz-version-id") == first
    assert await tags_of(data.alice) == []
    assert await tags_of(data.alice, target) == [("of", "first")]
    current = await data.alice.configure("/data/key?tagging", document([("of", "second")]))
    assert current.header("x-amz-version-id") == second
    await data.alice.made(target, method="DELETE")
    assert await tags_of(data.alice, target) == []
    assert await tags_of(data.alice) == [("of", "second")]
    marker = (await data.alice("DELETE", "/data/key")).header("x-amz-version-id")
    for method, query, outcome in (
        ("GET", "", (404, "NoSuchKey")),
        ("DELETE", "", (404, "NoSuchKey")),
        ("GET", f"&versionId={marker}", (405, "MethodNotAllowed")),
        ("DELETE", f"&versionId={marker}", (405, "MethodNotAllowed")),
        ("GET", "&versionId=" + "0" * 16, (404, "NoSuchVersion")),
        ("GET", "&versionId=x", (400, "InvalidArgument")),
    ):
        assert (await data.alice(method, f"/data/key?tagging{query}")).outcome == outcome


async def test_upload_in_parts_keeps_its_tags(data: Store) -> None:
    tags = {"x-amz-tagging": "a=1"}
    upload = (await data.alice("POST", "/data/key?uploads", headers=tags)).text("UploadId")
    target = f"/data/key?uploadId={upload}"
    etag = (await data.alice("PUT", f"{target}&partNumber=1", body=b"x")).header("etag")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    await data.alice.made(target, method="POST", body=body)
    assert await tags_of(data.alice) == [("a", "1")]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, [("a", "1"), ("b c", "é")]),
        ({"x-amz-tagging-directive": "COPY"}, [("a", "1"), ("b c", "é")]),
        ({"x-amz-tagging-directive": "REPLACE"}, []),
        ({"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "n=w"}, [("n", "w")]),
        ({"x-amz-metadata-directive": "REPLACE"}, [("a", "1"), ("b c", "é")]),
    ],
)
async def test_copy_has_the_tags_of_its_source_or_of_its_request(
    tagged: Store, headers: dict[str, str], expected: Tags
) -> None:
    source = {"x-amz-copy-source": "data/key", **headers}
    await tagged.alice.made("/data/copy", headers=source)
    assert await tags_of(tagged.alice, "/data/copy?tagging") == expected


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({"x-amz-tagging": "a=1"}, (400, "InvalidRequest")),
        ({"x-amz-tagging-directive": "KEEP"}, (400, "InvalidArgument")),
    ],
)
async def test_directive_that_means_nothing_copies_nothing(
    tagged: Store, headers: dict[str, str], outcome: tuple[int, str]
) -> None:
    source = {"x-amz-copy-source": "data/key", **headers}
    with tagged.untouched():
        answer = await tagged.alice("PUT", "/data/copy", headers=source)
    assert answer.outcome == outcome


LIMITS = [
    ([(f"k{n}", "v") for n in range(10)], (200, "")),
    ([(f"k{n}", "v") for n in range(11)], (400, "BadRequest")),
    ([("k" * 128, "v" * 256)], (200, "")),
    ([("k" * 129, "v")], (400, "InvalidTag")),
    ([("k", "v" * 257)], (400, "InvalidTag")),
    ([("é" * 128, "é" * 256)], (200, "")),
    ([("\U00020000" * 64, "v")], (200, "")),  # two UTF-16 units each
    ([("\U00020000" * 64 + "k", "v")], (400, "InvalidTag")),
    ([("", "v")], (400, "InvalidTag")),
    ([("aws:k", "v")], (400, "InvalidTag")),
    ([("AWS:k", "v")], (400, "InvalidTag")),
    ([("k!", "v")], (400, "InvalidTag")),
    ([("k", "\n")], (400, "InvalidTag")),
]


@pytest.mark.parametrize(("tags", "outcome"), LIMITS)
async def test_limits_are_those_of_s3(data: Store, tags: Tags, outcome: tuple[int, str]) -> None:
    await data.alice.made("/data/key", body=b"x")
    answer = await data.alice.configure("/data/key?tagging", document(tags))
    assert answer.outcome == outcome
    header = "&".join(f"{quote(key)}={quote(value)}" for key, value in tags)
    put_with = await data.alice("PUT", "/data/new", headers={"x-amz-tagging": header})
    assert put_with.outcome == outcome
    if outcome == (200, ""):
        assert await tags_of(data.alice) == list(tags)
        assert await tags_of(data.alice, "/data/new?tagging") == list(tags)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (document([("a", "1"), ("a", "2")]), (400, "InvalidTag")),
        (document([("a", "1")]).replace(b"Value", b"Valeu"), (400, "MalformedXML")),
        (b"<Tagging/>", (400, "MalformedXML")),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", (400, "MalformedXML")),
        (b"", (400, "MissingRequestBodyError")),
    ],
)
async def test_bad_document_changes_nothing(
    tagged: Store, body: bytes, outcome: tuple[int, str]
) -> None:
    with tagged.untouched():
        answer = await tagged.alice.configure("/data/key?tagging", body)
    assert answer.outcome == outcome


@pytest.mark.parametrize("header", ["a=1&a=2", "a=%FF", "&"])
async def test_bad_header_stores_nothing(data: Store, header: str) -> None:
    with data.untouched():
        answer = await data.alice("PUT", "/data/key", headers={"x-amz-tagging": header})
    assert answer.outcome == (400, "InvalidArgument")


@pytest.mark.parametrize("who", [None, "bob"])
async def test_tags_of_a_public_object_are_no_strangers(store: Store, who: str | None) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read-write"})
    await store.alice.made("/data/key", body=b"x", headers={"x-amz-tagging": "a=1"})
    await store.bob.made("/mine")
    client = store.client(who)
    for method in ("GET", "DELETE"):
        answer = await client(method, "/data/key?tagging")
        assert answer.outcome == (403, "AccessDenied")
    assert (await client.configure("/data/key?tagging", document([]))).status == 403
    assert (await client("PUT", "/data/new", headers={"x-amz-tagging": "a=1"})).status == 403
    copied = await client("PUT", "/mine/copy", headers={"x-amz-copy-source": "data/key"})
    assert copied.outcome == (403, "AccessDenied")
    assert await tags_of(store.alice) == [("a", "1")]


async def test_copied_tags_need_leave_to_tag_the_copy(tagged: Store) -> None:
    await tagged.bob.made("/theirs")
    source = {"x-amz-copy-source": "data/key"}
    actions = ["s3:PutObject", "s3:PutObjectTagging"]
    for allowed, expected in ((actions[:1], 403), (actions, 200)):
        allow = {"Effect": "Allow", "Principal": "*", "Action": allowed}
        statement = [allow | {"Resource": "arn:aws:s3:::theirs/*"}]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
        answer = await tagged.bob.configure("/theirs?policy", policy.encode())
        assert answer.status == 204, answer.body
        copied = await tagged.alice("PUT", "/theirs/copy", headers=source)
        assert copied.status == expected
        plain = source | {"x-amz-tagging-directive": "REPLACE"}
        assert (await tagged.alice("PUT", "/theirs/plain", headers=plain)).status == 200
