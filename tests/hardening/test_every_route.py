"""Each row of the catalogue: nobody gets past the door, and nothing falls through to another.

Sources: hardening reference rows 3 (CVE-2026-40344) and 4.1; the counts of operations that
would fall through are in the style reference, 4.2.
"""

from __future__ import annotations

import pytest

from tests.support.asgi_client import Answer, How
from tests.support.rows import EVERY_ROW, RowRequest
from tests.support.served import Store
from tests.support.signing import Key

BODY = b"content"
NO_BODY = {"HEAD"}
HOWS: tuple[How, ...] = ("header", "query", "v2-header", "v2-query")


@pytest.fixture
async def kept(data: Store) -> Store:
    await data.alice.made("/data/key", body=BODY)
    return data


def by_name(rows: tuple[RowRequest, ...]) -> list[object]:
    return [pytest.param(row, id=row.name) for row in rows]


def code(answer: Answer, row: RowRequest) -> str:
    """Return the code; a HEAD has no body to tell it."""
    assert answer.body == b"" or row.method not in NO_BODY
    return answer.code if answer.body else ""


@pytest.mark.parametrize("row", by_name(EVERY_ROW))
async def test_nobody_is_denied(kept: Store, row: RowRequest) -> None:
    with kept.untouched():
        answer = await kept.nobody(row.method, row.target, headers=row.headers)
    if row.name == "PostObject":  # its signature is in the form, and here is none
        assert answer.outcome == (400, "MalformedPOSTRequest")
        return
    assert answer.status == 403
    assert code(answer, row) == ("" if row.method in NO_BODY else "AccessDenied")


# Everybody with a key may have buckets.
FOR_ALL = {"CreateBucket", "ListBuckets", "ListDirectoryBuckets"}


@pytest.mark.parametrize("row", by_name(tuple(one for one in EVERY_ROW if one.name not in FOR_ALL)))
async def test_stranger_is_denied(kept: Store, row: RowRequest) -> None:
    with kept.untouched():
        answer = await kept.bob(row.method, row.target, headers=row.headers)
    assert answer.status == 403
    assert code(answer, row) == ("" if row.method in NO_BODY else "AccessDenied")


@pytest.mark.parametrize("row", by_name(EVERY_ROW))
async def test_wrong_secret_is_refused(kept: Store, row: RowRequest) -> None:
    liar = kept.alice.changed(key=Key("AKIAALICE", "not-the-secret"))
    for how in HOWS:
        with kept.untouched():
            answer = await liar(row.method, row.target, headers=row.headers, how=how)
        assert (how, answer.status) == (how, 403)
        # Version 2 does not sign every parameter; those that it does not sign are refused first.
        codes = {"SignatureDoesNotMatch"} | ({"AccessDenied"} if how.startswith("v2") else set())
        assert code(answer, row) in ({""} if row.method in NO_BODY else codes)


@pytest.mark.parametrize("row", by_name(EVERY_ROW))
async def test_unknown_key_is_refused(kept: Store, row: RowRequest) -> None:
    stranger = kept.alice.changed(key=Key("AKIANOBODY", "secret-of-alice"))
    with kept.untouched():
        answer = await stranger(row.method, row.target, headers=row.headers)
    assert answer.status == 403
    assert code(answer, row) == ("" if row.method in NO_BODY else "InvalidAccessKeyId")


NOT_HANDLED = tuple(row for row in EVERY_ROW if not row.is_handled)


@pytest.mark.parametrize("who", ["alice", "root"])
@pytest.mark.parametrize("row", by_name(NOT_HANDLED))
async def test_operation_without_handler_says_so(kept: Store, row: RowRequest, who: str) -> None:
    with kept.untouched():
        answer = await kept.client(who)(row.method, row.target, headers=row.headers)
    if who == "alice" and answer.status == 403:
        return  # actions outside of s3: belong to root
    assert answer.status == 501
    if answer.body:
        assert answer.code == "NotImplemented"
        assert row.name.removeprefix("ListDirectory") in (answer.text("Message") or "") or (
            row.name in {"PutBucketLifecycle", "PutBucketNotification", "GetBucketLifecycle"}
            or row.name == "GetBucketNotification"
        )
    assert (await kept.alice("GET", "/data/key")).body == BODY


def test_most_of_the_catalogue_has_no_handler_yet() -> None:
    assert {row.name for row in EVERY_ROW if row.is_handled} >= {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateBucket",
        "CreateMultipartUpload",
        "DeleteBucket",
        "DeleteObject",
        "DeleteObjects",
        "GetBucketLocation",
        "GetObject",
        "HeadBucket",
        "HeadObject",
        "ListBuckets",
        "ListMultipartUploads",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PutObject",
        "UploadPart",
        "UploadPartCopy",
    }


SUB_RESOURCES = sorted(
    {
        pair.partition("=")[0]
        for row in EVERY_ROW
        for pair in row.target.partition("?")[2].split("&")
        if pair
    }
)


# A parameter that nobody knows is refused on writes unless it has a value: then it is noise.
PARAMETERS = [f"{key}{value}" for key in SUB_RESOURCES for value in ("", "=1")]
PARAMETERS += ["foo", "Cors", "cors%20", "delete%00x"]


@pytest.mark.parametrize("parameter", PARAMETERS)
async def test_sub_resource_never_reaches_the_plain_write(kept: Store, parameter: str) -> None:
    """DELETE bucket?x never deletes the bucket, PUT key?x never overwrites the object."""
    for method, target in (
        ("DELETE", "/data"),
        ("PUT", "/data"),
        ("PUT", "/data/key"),
        ("DELETE", "/data/key"),
        ("POST", "/data"),
        ("POST", "/data/key"),
    ):
        if method == "POST" and parameter.startswith("uploads"):
            continue  # that is an operation
        before = await kept.rows()
        answer = await kept.root(method, f"{target}?{parameter}", body=b"other")
        assert answer.status in {400, 404, 405, 409, 411, 501}, (method, target)
        assert await kept.rows() == before, (method, target)
    assert (await kept.alice("GET", "/data/key")).body == BODY


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "LOCK", "get", "X" * 99])
@pytest.mark.parametrize("target", ["/", "/data", "/data/key", "/data?cors"])
async def test_method_that_nobody_handles_is_not_allowed(
    kept: Store, method: str, target: str
) -> None:
    with kept.untouched():
        answer = await kept.root(method, target)
    assert answer.outcome == (405, "MethodNotAllowed")
    assert answer.header("allow")
