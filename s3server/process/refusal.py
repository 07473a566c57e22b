"""An error told by the process itself, before a request has come to the application."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from xml.sax.saxutils import escape

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from s3server.errors import S3Error
from s3server.observer import Answered
from s3server.wire.response import Headers

# Is told of what was refused.
Refused = Callable[[Answered], None]


def unheard(_: Answered) -> None:
    """Take no note of a refusal."""


def refusal(
    error: S3Error, refused: Refused, *, client: str = "", method: str = "-", path: str = ""
) -> tuple[Headers, bytes]:
    """Return header fields and S3's document of an error, once `refused` was told of it."""
    request_id = secrets.token_hex(8).upper()
    refused(
        Answered(
            request_id=request_id,
            method=method,
            status=error.status,
            path=path,
            code=error.code,
            reason=error.message,
            client=client,
        )
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{request_id}</RequestId></Error>"
    ).encode()
    headers = [
        (b"content-type", b"application/xml"),
        (b"content-length", b"%d" % len(body)),
        (b"x-amz-request-id", request_id.encode()),
        *((name.encode(), value.encode()) for name, value in error.headers.items()),
    ]
    return headers, body


def last_response(status: int, headers: Headers, body: bytes) -> bytes:
    """Return the bytes of an answer after which the connection ends."""
    lines = [b"%b: %b\r\n" % field for field in headers]
    return b"".join([STATUS_LINE[status], *lines, b"connection: close\r\n\r\n", body])
