"""A result in boto3's shape as status, headers and body, by the shapes of AWS's models.

What the models lack stands in the tables at the top; they follow the response examples in the
"Amazon S3 API Reference". A renderer is compiled once per operation and walks the result.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from s3server.wire import metadata
from s3server.wire.response import Headers, Response, header_name, header_value
from s3server.wire.service_model import Member, Operation, Shape
from s3server.wire.timestamps import http_date, iso_millis, iso_seconds
from s3server.wire.xml_write import compile_fields, escape, write_fields

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

# Root elements; for others a payload member's is called as its shape, and without payload
# `<operation>Output` is the rule.
_ROOTS = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectLegalHold": "LegalHold",
    "GetObjectRetention": "Retention",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjectAnnotations": "ListObjectAnnotationsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
    "PutObjectAnnotation": "PutObjectAnnotationResult",
}
_STATUSES = {"PutBucketPolicy": 204, "PutBucketTagging": 204}

_Body = bytes | AsyncIterator[bytes]


class Renderer(Protocol):
    """Turns a handler's result into a response.

    Keys of the result are those of boto3; None is left out; "@status" and "@headers" (a dict of
    names and values) override and add; "@body" is a body that no model describes. Raises
    ValueError or KeyError for what the operation's output does not have, or for a header value
    with control characters: bugs of ours.
    """

    def __call__(self, result: dict[str, Any], *, request_id: str, host_id: str) -> Response: ...


def compile_renderer(operation: Operation) -> Renderer:
    """Return `render(result, request_id=, host_id=) -> Response` of an operation."""
    if operation.protocol == "query":
        return _QueryRenderer(operation)
    return _RestRenderer(operation)


class _RestRenderer:
    def __init__(self, operation: Operation) -> None:
        members = operation.output.members if operation.output else {}
        self._status = _STATUSES.get(operation.name, operation.status)
        self._is_head = operation.method == "HEAD"
        self._headers = {
            name: (header_name(member.wire), _header_writer(member))
            for name, member in members.items()
            if member.location == "header"
        }
        self._content_type, self._write_body = _body_writer(operation)

    def __call__(self, result: dict[str, Any], *, request_id: str, host_id: str) -> Response:
        status = 206 if result.get("ContentRange") else self._status
        headers = id_headers(request_id, host_id)
        content: dict[str, Any] = {}
        own_body = b""
        for name, value in result.items():
            if value is None:
                continue
            entry = self._headers.get(name)
            if entry is not None:
                headers.append((entry[0], entry[1](value)))
            elif name == "Metadata":
                headers += _metadata_headers(value)
            elif name == "@status":
                status = value
            elif name == "@headers":
                headers += _extra_headers(value)
            elif name == "@body":
                own_body = value
            else:
                content[name] = value
        body = own_body or self._write_body(content)
        if body and self._content_type:
            headers.append((b"content-type", self._content_type))
        # RFC 9110, 8.6: no Content-Length in a 204; that of a stream is the handler's.
        is_sized = "ContentLength" in result or status == 204 or self._is_head
        if isinstance(body, bytes) and not is_sized:
            headers.append((b"content-length", b"%d" % len(body)))
        return Response(status, headers, body)


class _QueryRenderer:
    def __init__(self, operation: Operation) -> None:
        self._fields = compile_fields(operation.output, iso_seconds) if operation.output else {}
        wrapper = operation.result_wrapper
        name, xmlns = f"{operation.name}Response", operation.namespace
        self._opening = f'<{name} xmlns="{xmlns}">' + (f"<{wrapper}>" if wrapper else "")
        self._middle = (f"</{wrapper}>" if wrapper else "") + "<ResponseMetadata><RequestId>"
        self._closing = f"</RequestId></ResponseMetadata></{name}>"

    def __call__(self, result: dict[str, Any], *, request_id: str, host_id: str) -> Response:
        values = ((key, value) for key, value in result.items() if key[0] != "@")
        text = write_fields(self._fields, values)
        text = f"{self._opening}{text}{self._middle}{escape(request_id)}{self._closing}"
        body = text.encode("utf-8")
        headers = [
            (b"x-amzn-requestid", header_value(request_id)),
            *id_headers(request_id, host_id),
            *_extra_headers(result.get("@headers", {})),
            (b"content-type", b"text/xml"),
            (b"content-length", b"%d" % len(body)),
        ]
        return Response(result.get("@status", 200), headers, body)


def id_headers(request_id: str, host_id: str) -> Headers:
    """Return what every answer is known by."""
    return [
        (b"x-amz-request-id", request_id.encode("ascii")),  # ours: nothing in them to refuse
        (b"x-amz-id-2", host_id.encode("ascii")),
    ]


def _extra_headers(extra: Mapping[str, str]) -> Headers:
    return [(header_name(name), header_value(text)) for name, text in extra.items()]


def _metadata_headers(values: Mapping[str, str]) -> Headers:
    return [
        (header_name(metadata.PREFIX + name), header_value(metadata.write_value(value)))
        for name, value in values.items()
    ]


def _header_writer(member: Member) -> Callable[[Any], bytes]:
    kind = member.shape.type
    if kind in {"integer", "long"}:
        return lambda value: b"%d" % value
    if kind == "boolean":
        return lambda value: b"true" if value else b"false"
    if kind == "timestamp":
        write = iso_millis if member.timestamp_format == "iso8601" else http_date
        return lambda value: write(value).encode("ascii")
    if kind == "list":
        return lambda values: header_value(",".join(values))
    return header_value


def _body_writer(operation: Operation) -> tuple[bytes, Callable[[dict[str, Any]], _Body]]:
    """Return the content type of a body, where the result does not say it, and its writer."""
    output = operation.output
    if output is None or not (output.payload or output.elements):
        return b"", _no_body
    if output.payload is None:
        root = _ROOTS.get(operation.name, f"{operation.name}Output")
        return b"application/xml", _document(operation, root, output)
    member = output.members[output.payload]
    if member.shape.type == "structure":
        root = _ROOTS.get(operation.name, member.shape.name)
        return b"application/xml", _payload(member.name, _document(operation, root, member.shape))
    if member.shape.type == "string":
        return b"application/json", _payload(member.name, lambda text: text.encode("utf-8"))
    return b"", _payload(member.name, lambda body: body)


def _no_body(content: dict[str, Any]) -> bytes:
    if content:
        raise ValueError(f"not in the operation's output: {sorted(content)}")
    return b""


def _payload(name: str, write: Callable[[Any], _Body]) -> Callable[[dict[str, Any]], _Body]:
    def write_payload(content: dict[str, Any]) -> _Body:
        value = content.pop(name, None)
        if content:
            raise ValueError(f"not in the operation's output: {sorted(content)}")
        return b"" if value is None else write(value)

    return write_payload


def _document(operation: Operation, root: str, shape: Shape) -> Callable[[dict[str, Any]], bytes]:
    opening = f'{_DECLARATION}<{root} xmlns="{operation.namespace}">'
    closing = f"</{root}>"
    fields = compile_fields(shape, iso_millis)
    if operation.name == "GetBucketLocation":  # the text of the root itself
        return lambda content: (
            opening + escape(content.get("LocationConstraint") or "") + closing
        ).encode("utf-8")
    return lambda content: (opening + write_fields(fields, content.items()) + closing).encode(
        "utf-8"
    )
