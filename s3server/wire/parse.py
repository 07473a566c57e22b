"""A request as the dict that every boto3 user knows, by the shapes of AWS's models.

A parser is compiled once per operation: it holds a table of what the operation knows and walks
what was received. `Body` of a streaming operation is the object that the caller passes in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from s3server.errors import (
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    MalformedXML,
    MetadataTooLarge,
    MissingRequestBodyError,
)
from s3server.model import HttpRequest, Target
from s3server.wire import metadata
from s3server.wire.query_protocol import compile_form_parser
from s3server.wire.scalars import Convert, converter
from s3server.wire.service_model import Operation, Shape
from s3server.wire.xml_read import read_document
from s3server.wire.xmldoc import read_xml

Parser = Callable[[HttpRequest, Target, Mapping[str, str], object], dict[str, Any]]

# HTTP lets no other name through in a header, but a signed URL carries any (RFC 9110, 5.6.2).
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch

DEFAULT_BODY_BYTES = 1 << 20
_BODY_BYTES = {
    "CompleteMultipartUpload": 8 << 20,  # 10,000 parts with every checksum
    "DeleteObjects": 8 << 20,  # 1,000 keys of 1,024 bytes, each escaped, with conditions
    "PutBucketCors": 64 << 10,  # AWS, "Elements of a CORS configuration": 64 KB
    "PutBucketPolicy": 20 << 10,  # AWS, "Bucket policies": 20 KB
}
_MAX_ITEMS = {
    "DeleteObjects": ("Delete", "Objects", 1_000),
    "CompleteMultipartUpload": ("MultipartUpload", "Parts", 10_000),
}
# The model calls these bodies optional; S3 refuses the request without them.
_BODY_NEEDED = frozenset(
    {"PutBucketLifecycle", "PutBucketLifecycleConfiguration", "PutObjectLegalHold"}
    | {"PutObjectLockConfiguration", "PutObjectRetention", "SelectObjectContent"}
)


def body_limit(operation: Operation) -> int:
    """Return how many bytes of a body, other than a streaming one, need ever be read."""
    return _BODY_BYTES.get(operation.name, DEFAULT_BODY_BYTES)


def has_streaming_body(operation: Operation) -> bool:
    """Return whether the body is the object's bytes, passed through, instead of a document."""
    shape = operation.input
    if shape is None or shape.payload is None:
        return False
    return shape.members[shape.payload].shape.type == "blob"


def compile_parser(operation: Operation) -> Parser:
    """Return `parse(request, target, query, body) -> dict`.

    `query` comes from parse_query(). `body` is passed through where it streams, the bytes
    otherwise (b"" where there are none), and the form of read_form() for the query protocol.
    The parser raises InvalidArgument and its kin for values, InvalidRequest for missing headers,
    MetadataTooLarge, MissingRequestBodyError and MalformedXML.
    """
    if operation.protocol == "query":
        return compile_form_parser(operation)
    return _RestParser(operation)


class _RestParser:
    def __init__(self, operation: Operation) -> None:
        members = operation.input.members.values() if operation.input else ()
        self._operation = operation
        self._headers: dict[str, tuple[str, Convert]] = {
            member.wire.lower(): (member.name, converter(member))
            for member in members
            if member.location == "header"
        }
        self._query: dict[str, tuple[str, Convert]] = {
            member.wire: (member.name, converter(member))
            for member in members
            if member.location == "querystring"
        }
        self._has_metadata = any(member.location == "headers" for member in members)
        self._has_bucket = any(member.name == "Bucket" for member in members)
        self._has_key = operation.level == "object"
        self._required = tuple(
            (member.name, member.wire)
            for member in members
            if member.location in {"header", "querystring"}
            and operation.input is not None
            and member.name in operation.input.required
        )
        self._body = _body_reader(operation)

    def __call__(
        self, request: HttpRequest, target: Target, query: Mapping[str, str], body: object
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if self._has_bucket:
            result["Bucket"] = target.bucket
        if self._has_key:
            result["Key"] = target.key
        if query:
            _fill(result, self._query, query)
        _fill(result, self._headers, request.headers)
        if self._has_metadata:
            _fill_metadata(result, request.headers)
        for name, wire in self._required:
            if name not in result:
                raise InvalidRequest(
                    f"Missing required header or parameter for this request: {wire}"
                )
        if self._body is not None:
            self._body(body, result)
        return result


def _fill(
    result: dict[str, Any], known: dict[str, tuple[str, Convert]], received: Mapping[str, str]
) -> None:
    for key, text in received.items():
        entry = known.get(key)
        if entry is not None:
            value = entry[1](text)
            if value is not None:
                result[entry[0]] = value


def _fill_metadata(result: dict[str, Any], headers: Mapping[str, str]) -> None:
    found = {
        header.removeprefix(metadata.PREFIX): metadata.read_value(text)
        for header, text in headers.items()
        if header.startswith(metadata.PREFIX)
    }
    if not found:
        return
    size = sum(len(name.encode()) + len(value.encode()) for name, value in found.items())
    if size > metadata.MAX_BYTES:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(metadata.MAX_BYTES))
    for name in found:
        if name and _TOKEN(name) is None:
            raise InvalidArgument(
                "A name of metadata is not one that a header can have.",
                ArgumentName=metadata.PREFIX + name,
            )
    result["Metadata"] = found


def _body_reader(operation: Operation) -> Callable[[Any, dict[str, Any]], None] | None:
    """Return what puts the body into the result; None where the operation has no body."""
    shape = operation.input
    if shape is None:
        return None
    if shape.payload is None:
        return _inline_reader(operation, shape) if operation.input_root else None
    name = shape.payload
    member = shape.members[name]
    if member.shape.type == "blob":
        return lambda body, result: result.__setitem__(name, body)
    is_needed = name in shape.required or operation.name in _BODY_NEEDED
    if member.shape.type == "string":
        return _text_reader(name)
    return _xml_reader(operation, name, member.wire, member.shape, is_needed=is_needed)


def _text_reader(name: str) -> Callable[[Any, dict[str, Any]], None]:
    def read(body: bytes, result: dict[str, Any]) -> None:
        if not body:
            raise MissingRequestBodyError
        try:
            result[name] = body.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest("The body of the request is not UTF-8.") from None

    return read


def _xml_reader(
    operation: Operation, name: str, root: str, shape: Shape, *, is_needed: bool
) -> Callable[[Any, dict[str, Any]], None]:
    limit = body_limit(operation)
    # What is stored as configuration is read strictly: see read_document().
    is_strict = operation.method == "PUT" and operation.name != "CreateBucket"
    container, items, most = _MAX_ITEMS.get(operation.name, ("", "", 0))

    def read(body: bytes, result: dict[str, Any]) -> None:
        if not body:
            if operation.name == "CompleteMultipartUpload":
                raise MalformedXML
            if is_needed:
                raise MissingRequestBodyError
            return
        try:
            tree = read_xml(body, max_bytes=limit)
            document = read_document(tree, shape, root, is_strict=is_strict)
        except MalformedXML:
            if name == "AccessControlPolicy":  # has a code of its own
                raise MalformedACLError from None
            raise
        result[name] = document
        if name == container and len(document.get(items, ())) > most:
            raise MalformedXML

    return read


def _inline_reader(operation: Operation, shape: Shape) -> Callable[[Any, dict[str, Any]], None]:
    def read(body: bytes, result: dict[str, Any]) -> None:
        if not body:
            raise MissingRequestBodyError
        root = read_xml(body, max_bytes=body_limit(operation))
        result.update(read_document(root, shape, operation.input_root, is_strict=False))

    return read
