"""GetObject and HeadObject: parts, conditions, overrides, and who may."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from s3server.core.records import ObjectRecord
from s3server.meta.base import Delete
from tests.support.served import Store

BODY = bytes(range(256)) * 4


@pytest.fixture
async def read(data: Store) -> Store:
    """A store with one object, modified on Mon, 21 Sep 2026 14:13:20 GMT."""
    await data.alice.made("/data/key", body=BODY, headers={"content-type": "text/plain"})
    return data


async def test_head_tells_what_get_tells_without_the_bytes(read: Store) -> None:
    got = await read.alice("GET", "/data/key")
    head = await read.alice("HEAD", "/data/key")
    ids = {"x-amz-request-id"}
    assert [pair for pair in head.headers if pair[0] not in ids] == [
        pair for pair in got.headers if pair[0] not in ids
    ]
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == "1024"
    assert head.header("accept-ranges") == "bytes"
    assert head.header("last-modified") == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_missing_key_is_told_with_its_name(read: Store) -> None:
    answer = await read.alice("GET", "/data/other")
    assert answer.outcome == (404, "NoSuchKey")
    assert answer.text("Key") == "other"
    assert answer.text("RequestId") == answer.header("x-amz-request-id")
    head = await read.alice("HEAD", "/data/other")
    assert (head.status, head.body) == (404, b"")


async def test_deleted_key_is_missing(read: Store) -> None:
    await read.alice.made("/data/key", method="DELETE")
    assert (await read.alice("GET", "/data/key")).outcome == (404, "NoSuchKey")


@pytest.mark.parametrize("who", [None, "bob"])
@pytest.mark.parametrize("key", ["key", "other"])
@pytest.mark.parametrize(
    "header",
    [{}, {"if-none-match": "*"}, {"if-modified-since": "Mon, 21 Sep 2037 14:13:20 GMT"}],
)
async def test_stranger_learns_nothing(
    read: Store, who: str | None, key: str, header: dict[str, str]
) -> None:
    with read.untouched():
        answer = await read.client(who)("GET", f"/data/{key}", headers=header)
    assert answer.outcome == (403, "AccessDenied")
    assert answer.header("etag") is None
    assert answer.header("last-modified") is None


BEFORE, EXACTLY, AFTER = (
    "Mon, 21 Sep 2026 14:13:19 GMT",
    "Mon, 21 Sep 2026 14:13:20 GMT",
    "Mon, 21 Sep 2026 14:13:21 GMT",
)
CONDITIONS = [
    ({"if-match": "ETAG"}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": '"0", ETAG'}, 200),
    ({"if-match": '"0"'}, 412),
    ({"if-none-match": "ETAG"}, 304),
    ({"if-none-match": "W/ETAG"}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": '"0"'}, 200),
    ({"if-modified-since": BEFORE}, 200),
    ({"if-modified-since": EXACTLY}, 304),
    ({"if-modified-since": AFTER}, 304),
    ({"if-modified-since": "yesterday"}, 200),
    ({"if-unmodified-since": BEFORE}, 412),
    ({"if-unmodified-since": EXACTLY}, 200),
    ({"if-unmodified-since": AFTER}, 200),
    # AWS: If-Match true and If-Unmodified-Since false is 200.
    ({"if-match": "ETAG", "if-unmodified-since": BEFORE}, 200),
    # AWS: If-None-Match false and If-Modified-Since true is 304.
    ({"if-none-match": "ETAG", "if-modified-since": BEFORE}, 304),
    ({"if-none-match": '"0"', "if-modified-since": AFTER}, 200),
    ({"if-match": '"0"', "if-none-match": "ETAG"}, 412),
    ({"if-match": "ETAG", "if-none-match": "ETAG"}, 304),
]


@pytest.mark.parametrize(("headers", "status"), CONDITIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_conditions_decide(
    read: Store, headers: dict[str, str], status: int, method: str
) -> None:
    etag = (await read.alice("HEAD", "/data/key")).header("etag") or ""
    sent = {name: value.replace("ETAG", etag) for name, value in headers.items()}
    answer = await read.alice(method, "/data/key", headers=sent)
    assert answer.status == status
    if status == 304:
        assert (answer.body, answer.header("etag")) == (b"", etag)
    if status == 412 and method == "GET":
        assert answer.code == "PreconditionFailed"


async def test_conditions_on_a_missing_key_do_not_matter(read: Store) -> None:
    answer = await read.alice("GET", "/data/other", headers={"if-match": '"0"'})
    assert answer.outcome == (404, "NoSuchKey")


OVERRIDES = {
    "response-content-type": ("content-type", "text/csv"),
    "response-content-language": ("content-language", "fr"),
    "response-expires": ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
    "response-cache-control": ("cache-control", "no-store"),
    "response-content-disposition": ("content-disposition", 'attachment; filename="a b.csv"'),
    "response-content-encoding": ("content-encoding", "identity"),
}


@pytest.mark.parametrize("how", ["header", "query", "v2-header", "v2-query"])
@pytest.mark.parametrize("name", sorted(OVERRIDES))
async def test_signed_request_overrides_a_header(read: Store, name: str, how: str) -> None:
    header, value = OVERRIDES[name]
    target = f"/data/key?{name}={quote(value, safe='')}"
    answer = await read.alice("GET", target, how=how)  # type: ignore[arg-type]
    assert (answer.status, answer.header(header)) == (200, value)
    assert answer.body == BODY


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", sorted(OVERRIDES))
async def test_anonymous_request_overrides_nothing(store: Store, name: str, method: str) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read"})
    await store.alice.made("/data/key", body=b"<script>")
    value = "2033-12-01T16:00:00Z" if name == "response-expires" else "text%2Fhtml"
    answer = await store.nobody(method, f"/data/key?{name}={value}")
    assert answer.status == 400
    assert answer.code == ("InvalidRequest" if method == "GET" else "")
    assert b"<script>" not in answer.body


async def test_part_of_a_plain_object_is_the_whole(read: Store) -> None:
    answer = await read.alice("GET", "/data/key?partNumber=1")
    assert (answer.status, answer.body) == (206, BODY)
    assert answer.header("content-range") == "bytes 0-1023/1024"
    assert (await read.alice("GET", "/data/key?partNumber=2")).outcome == (
        416,
        "InvalidPartNumber",
    )


@pytest.mark.parametrize("number", ["0", "10001", "-1", "one"])
async def test_part_number_out_of_range_is_refused(read: Store, number: str) -> None:
    answer = await read.alice("GET", f"/data/key?partNumber={number}")
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "partNumber"


async def test_part_and_range_exclude_each_other(read: Store) -> None:
    answer = await read.alice("GET", "/data/key?partNumber=1", headers={"range": "bytes=0-1"})
    assert answer.outcome == (400, "InvalidRequest")


async def test_large_object_is_streamed_whole(data: Store) -> None:
    body = bytes(range(251)) * 12_000
    await data.alice.made("/data/large", body=body)
    answer = await data.alice("GET", "/data/large")
    assert answer.header("content-length") == str(len(body))
    assert answer.body == body


async def test_blob_that_is_gone_is_an_answer_and_no_traceback(read: Store) -> None:
    """Whoever read the record just before it was overwritten may find its bytes collected."""
    for key, _ in await read.rows():
        if key.startswith(b"D"):
            await read.meta.commit([Delete(key)])
    assert (await read.alice("GET", "/data/key")).outcome == (404, "NoSuchKey")


async def test_version_written_between_permission_and_read_is_not_served(data: Store) -> None:
    await data.alice.made("/data/key", body=b"open", headers={"x-amz-acl": "public-read"})
    objects = data.asgi._services.objects
    find = objects.find

    async def find_and_be_overtaken(*asked: Any) -> ObjectRecord | None:
        found = await find(*asked)
        objects.find = find
        await data.alice.made("/data/key", body=b"shut", headers={"x-amz-acl": "private"})
        return found

    objects.find = find_and_be_overtaken
    answer = await data.bob("GET", "/data/key")
    assert (403, "AccessDenied") == (answer.status, answer.code)
