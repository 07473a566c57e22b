"""Conditions of PutObject, CopyObject, CompleteMultipartUpload, DeleteObject and DeleteObjects."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from tests.ops.test_bucket_versioning import put, set_versioning
from tests.ops.test_object_delete import delete, document
from tests.support.asgi_client import Answer
from tests.support.served import Store
from tests.support.server_process import RunningServer
from tests.support.signing import Key, sign

ETAG = hashlib.md5(b"content").hexdigest()
MODIFIED = "Mon, 21 Sep 2026 14:13:20 GMT"
WRITERS = 64
LABELS = itertools.count()
Sent = tuple[int, str]  # status and ETag


async def put_object(store: Store, headers: dict[str, str]) -> Answer:
    return await store.alice("PUT", "/data/key", body=b"new", headers=headers)


async def copy_object(store: Store, headers: dict[str, str]) -> Answer:
    await store.alice.made("/data/source", body=b"new")
    source = {"x-amz-copy-source": "data/source", **headers}
    return await store.alice("PUT", "/data/key", headers=source)


async def complete(store: Store, headers: dict[str, str]) -> Answer:
    upload = (await store.alice("POST", "/data/key?uploads")).text("UploadId")
    target = f"/data/key?uploadId={upload}"
    etag = (await store.alice("PUT", f"{target}&partNumber=1", body=b"new")).header("etag")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    return await store.alice("POST", target, body=body, headers=headers)


WRITES = [put_object, copy_object, complete]
Write = Callable[[Store, dict[str, str]], Awaitable[Answer]]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("headers", "on_old", "on_none"),
    [
        ({"if-none-match": "*"}, 412, 200),
        ({"if-match": f'"{ETAG}"'}, 200, 404),
        ({"if-match": ETAG}, 200, 404),
        ({"if-match": "*"}, 200, 404),
        ({"if-match": '"1"'}, 412, 404),
        ({"if-none-match": f'"{ETAG}"'}, 501, 501),
    ],
)
@pytest.mark.parametrize("is_versioned", [False, True])
async def test_write_takes_place_if_its_condition_holds(
    data: Store,
    write: Write,
    headers: dict[str, str],
    on_old: int,
    on_none: int,
    is_versioned: bool,
) -> None:
    if is_versioned:
        await set_versioning(data.alice, "Enabled")
    answer = await write(data, headers)
    assert answer.status == on_none
    await data.alice.made("/data/key", body=b"content")
    answer = await write(data, headers)
    assert answer.status == on_old
    if on_old == 412:
        assert answer.code == "PreconditionFailed"
        assert answer.text("Condition") == next(iter(headers)).title()
    expected = b"new" if on_old == 200 else b"content"
    assert (await data.alice("GET", "/data/key")).body == expected


@pytest.mark.parametrize("write", WRITES)
async def test_delete_marker_is_no_object_to_a_condition(data: Store, write: Write) -> None:
    await set_versioning(data.alice, "Enabled")
    await put(data.alice, b"content")
    await data.alice.made("/data/key", method="DELETE")
    assert (await write(data, {"if-match": "*"})).status == 404
    assert (await write(data, {"if-none-match": "*"})).status == 200


CONDITIONS = [
    ({"if-match": f'"{ETAG}"'}, f"<ETag>{ETAG}</ETag>", True),
    ({"if-match": "*"}, "<ETag>*</ETag>", True),
    ({"if-match": '"1"'}, "<ETag>1</ETag>", False),
    ({"if-match": ""}, "<ETag></ETag>", False),
    ({"x-amz-if-match-size": "7"}, "<Size>7</Size>", True),
    ({"x-amz-if-match-size": "0"}, "<Size>0</Size>", False),
    (
        {"x-amz-if-match-last-modified-time": MODIFIED},
        f"<LastModifiedTime>{MODIFIED}</LastModifiedTime>",
        True,
    ),
    (
        {"x-amz-if-match-last-modified-time": MODIFIED.replace("20 GMT", "21 GMT")},
        "<LastModifiedTime>2026-09-21T14:13:19Z</LastModifiedTime>",
        False,
    ),
    (
        {"if-match": f'"{ETAG}"', "x-amz-if-match-size": "8"},
        f"<ETag>{ETAG}</ETag><Size>8</Size>",
        False,
    ),
]


@pytest.mark.parametrize(("headers", "elements", "holds"), CONDITIONS)
async def test_delete_takes_place_if_its_condition_holds(
    data: Store, headers: dict[str, str], elements: str, holds: bool
) -> None:
    data.clock.ms += 500  # conditions are on whole seconds, as clients are told them
    await data.alice.made("/data/key", body=b"content")
    await data.alice.made("/data/other", body=b"content")
    answer = await data.alice("DELETE", "/data/key", headers=headers)
    many = await delete(data.alice, document(["other"], extra=elements))
    if holds:
        assert answer.status == 204
        assert many.texts("Deleted/Key") == ["other"]
    else:
        assert answer.outcome == (412, "PreconditionFailed")
        assert many.texts("Error/Code") == ["PreconditionFailed"]
    left = (await data.alice("GET", "/data?list-type=2")).texts("Contents/Key")
    assert left == ([] if holds else ["key", "other"])


@pytest.mark.parametrize(("headers", "elements", "holds"), CONDITIONS)
async def test_condition_on_what_is_not_there_is_told_so(
    data: Store, headers: dict[str, str], elements: str, holds: bool
) -> None:
    with data.untouched():
        answer = await data.alice("DELETE", "/data/key", headers=headers)
        many = await delete(data.alice, document(["other"], extra=elements))
    assert answer.outcome == (404, "NoSuchKey")
    assert many.texts("Error/Code") == ["NoSuchKey"]


async def test_condition_of_a_delete_is_on_the_version_that_it_names(data: Store) -> None:
    await set_versioning(data.alice, "Enabled")
    old = await put(data.alice, b"content")
    await put(data.alice, b"newer")
    condition = {"if-match": f'"{ETAG}"'}
    assert (await data.alice("DELETE", "/data/key", headers=condition)).status == 412
    target = f"/data/key?versionId={old}"
    assert (await data.alice("DELETE", target, headers={"if-match": '"1"'})).status == 412
    assert (await data.alice("DELETE", target, headers=condition)).status == 204
    assert (await data.alice("GET", target)).status == 404


def send(server: RunningServer, method: str, path: str, body: bytes, **headers: str) -> Sent:
    """Send a request on a connection of its own."""
    host = urlsplit(server.endpoint).netloc
    signed = sign(
        method,
        f"{server.endpoint}{path}",
        {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}},
        key=Key(server.access_key, server.secret_key, server.region),
        at=datetime.now(UTC),
        payload=hashlib.sha256(body).hexdigest(),
    )
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, signed.target, body, signed.headers)
    with connection.getresponse() as answer:
        answer.read()
    connection.close()
    return answer.status, answer.headers.get("etag", "")


def race(server: RunningServer, method: str, path: str, **headers: str) -> list[Sent]:
    """Send a request 64 times at once, each with a body of its own."""
    barrier = threading.Barrier(WRITERS)
    label = next(LABELS)

    def write(number: int) -> Sent:
        barrier.wait(60)
        body = b"" if method == "DELETE" else f"{label} {number}".encode()
        return send(server, method, path, body, **headers)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(write, range(WRITERS)))


def statuses(sent: list[Sent]) -> Counter[int]:
    return Counter(status for status, _ in sent)


def test_of_64_writers_on_two_workers_exactly_one_wins(server: RunningServer) -> None:
    send(server, "PUT", "/races", b"")
    created = race(server, "PUT", "/races/key", if_none_match="*")
    assert statuses(created) == {200: 1, 412: WRITERS - 1}
    (etag,) = [etag for status, etag in created if status == 200]
    replaced = race(server, "PUT", "/races/key", if_match=etag)
    assert statuses(replaced) == {200: 1, 412: WRITERS - 1}
    (etag,) = [etag for status, etag in replaced if status == 200]
    assert send(server, "HEAD", "/races/key", b"") == (200, etag)
    deleted = race(server, "DELETE", "/races/key", if_match=etag)
    assert statuses(deleted) == {204: 1, 404: WRITERS - 1}
