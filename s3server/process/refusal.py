"""An error told by the process itself, before a request has come to the application."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import escape

from s3server.errors import S3Error
from s3server.wire.response import Headers


def refusal(error: S3Error) -> tuple[Headers, bytes]:
    """Return header fields and S3's document of an error."""
    request_id = secrets.token_hex(8).upper()
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
