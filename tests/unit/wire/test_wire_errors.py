"""Errors as S3 and as the query protocol write them."""

from __future__ import annotations

from typing import Any

import pytest

from s3server.errors import InternalError, NoSuchEntity, NoSuchKey, NotModified, S3Error
from s3server.wire.errors import render_error
from s3server.wire.response import Response

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def render(error: S3Error, **options: Any) -> Response:
    options = {"resource": "/b/k", "method": "GET"} | options
    return render_error(error, request_id="RID", host_id="HID", **options)


def test_error_is_a_document() -> None:
    answer = render(NoSuchKey(Key='<k & "l">'), resource="/b/<script>")
    body = (
        "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
        "<Key>&lt;k &amp; &quot;l&quot;&gt;</Key><Resource>/b/&lt;script&gt;</Resource>"
        "<RequestId>RID</RequestId><HostId>HID</HostId></Error>"
    )
    assert (answer.status, answer.body) == (404, (DECLARATION + body).encode())
    assert dict(answer.headers) == {
        b"x-amz-request-id": b"RID",
        b"x-amz-id-2": b"HID",
        b"content-type": b"application/xml",
        b"content-length": str(len(DECLARATION + body)).encode(),
        b"x-content-type-options": b"nosniff",
    }


@pytest.mark.parametrize(
    ("error", "kind"), [(NoSuchEntity("no user"), "Sender"), (InternalError("no user"), "Receiver")]
)
def test_query_protocol_has_its_envelope(error: S3Error, kind: str) -> None:
    assert (
        render(error, protocol="query").body
        == (
            f"{DECLARATION}<ErrorResponse><Error><Type>{kind}</Type><Code>{error.code}</Code>"
            "<Message>no user</Message></Error><RequestId>RID</RequestId></ErrorResponse>"
        ).encode()
    )


def test_head_has_no_body() -> None:
    answer = render(NoSuchKey(), method="HEAD")
    assert (answer.status, answer.body) == (404, b"")
    assert b"content-length" not in dict(answer.headers)


def test_not_modified_keeps_its_headers_and_has_no_body() -> None:
    answer = render(NotModified(headers={"ETag": '"e"'}))
    assert (answer.status, answer.body) == (304, b"")
    assert dict(answer.headers)[b"etag"] == b'"e"'
    assert b"content-type" not in dict(answer.headers)


def test_header_with_a_line_break_is_a_bug() -> None:
    with pytest.raises(ValueError, match="control"):
        render(NotModified(headers={"etag": "a\r\nb"}))
