"""An S3Error as the answer that the client's protocol expects."""

from __future__ import annotations

from s3server.errors import S3Error
from s3server.wire.response import Headers, Response, header_name, header_value
from s3server.wire.service_model import Protocol
from s3server.wire.xml_write import escape

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def render_error(
    error: S3Error,
    *,
    request_id: str,
    host_id: str,
    resource: str,
    method: str,
    protocol: Protocol = "rest-xml",
) -> Response:
    """Return the response to an error: S3's document, or the envelope of the query protocol.

    `resource` is the path as sent. There is no body for HEAD and for 304. The error's own headers
    are sent too: a 304 keeps its ETag, a 405 its Allow.
    """
    headers: Headers = [
        (b"x-amz-request-id", header_value(request_id)),
        (b"x-amz-id-2", header_value(host_id)),
        *((header_name(name), header_value(text)) for name, text in error.headers.items()),
    ]
    if method == "HEAD" or error.status == 304:
        return Response(error.status, headers, b"")
    if protocol == "query":
        text = _envelope(error, request_id)
    else:
        text = _document(error, request_id, host_id, resource)
    body = (_DECLARATION + text).encode("utf-8")
    headers += [
        (b"content-type", b"application/xml"),
        (b"content-length", b"%d" % len(body)),
        # Clients' browsers must not take reflected text for HTML (CVE-2025-27088).
        (b"x-content-type-options", b"nosniff"),
    ]
    return Response(error.status, headers, body)


def _document(error: S3Error, request_id: str, host_id: str, resource: str) -> str:
    elements = {"Code": error.code, "Message": error.message, **error.fields}
    elements |= {"Resource": resource, "RequestId": request_id, "HostId": host_id}
    return f"<Error>{_elements(elements)}</Error>"


def _envelope(error: S3Error, request_id: str) -> str:
    kind = "Sender" if error.status < 500 else "Receiver"
    elements = {"Type": kind, "Code": error.code, "Message": error.message}
    return (
        f"<ErrorResponse><Error>{_elements(elements)}</Error>"
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )


def _elements(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in values.items())
