"""Header and query values of a request, by the shape of their member."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from s3server.errors import InvalidArgument, InvalidRequest, InvalidStorageClass
from s3server.wire.metadata import unicode_value
from s3server.wire.service_model import Member, Shape
from s3server.wire.timestamps import parse_timestamp

Convert = Callable[[str], Any]  # None: as if it had not been sent

_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_LIMITS = {"integer": 2**31 - 1, "long": 2**63 - 1}
# RFC 9110, 13.1.3 and 13.1.4: a recipient must ignore these where they are not a date.
_LENIENT_DATES = frozenset({"If-Modified-Since", "If-Unmodified-Since"})

# "Access control list (ACL) overview", Amazon S3 user guide.
_VALUES_BESIDE_THE_MODEL = {"BucketCannedACL": frozenset({"log-delivery-write"})}


def converter(member: Member) -> Convert:
    """Return what reads the text of a header (its latin-1 decoding) or of a query value.

    The converters raise InvalidArgument, InvalidStorageClass or InvalidRequest, as S3 does.
    """
    shape = member.shape
    if member.wire == "Content-Encoding":
        return _content_encoding
    if shape.type == "string":
        return _string(member)
    if shape.type == "list":
        assert shape.item is not None
        return _list(_enum(member.wire, shape.item.shape))
    if shape.type == "boolean":
        return _boolean(member.wire)
    if shape.type == "timestamp":
        return _timestamp(member.wire)
    return _integer(member.wire, _LIMITS[shape.type])


def _string(member: Member) -> Convert:
    if member.shape.enum:
        return _enum(member.wire, member.shape)
    if member.location == "header" or member.wire.startswith("response-"):
        return _header_text(member.wire)
    return _text


def _refused(name: str, text: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=text)


def _text(text: str) -> str:
    return text


def _header_text(name: str) -> Convert:
    """Text that may end up in a response header: no control characters."""

    def convert(text: str) -> str:
        if text.isascii() and text.isprintable():
            return text
        if _CONTROL(text):
            raise _refused(name, "", "A header value contains control characters.")
        # A query value is decoded already and stays as it is: what it holds is not latin-1.
        return text if name.startswith("response-") else unicode_value(text)

    return convert


def _content_encoding(text: str) -> str | None:
    """aws-chunked describes the transfer, not the object, and is not stored."""
    text = _header_text("Content-Encoding")(text)
    codings = [coding.strip() for coding in text.split(",")]
    return ",".join(coding for coding in codings if coding and coding != "aws-chunked") or None


def _integer(name: str, limit: int) -> Convert:
    def convert(text: str) -> int | None:
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= limit:
            return int(text)
        message = f"Provided {name} not an integer or within integer range"
        raise _refused(name, text, message)

    return convert


def _boolean(name: str) -> Convert:
    values = {"true": True, "false": False, "": None}

    def convert(text: str) -> bool | None:
        lowered = text.lower()
        if lowered not in values:
            raise _refused(name, text, f"Provided {name} not a boolean value")
        return values[lowered]

    return convert


def _timestamp(name: str) -> Convert:
    def convert(text: str) -> Any:
        try:
            return parse_timestamp(text)
        except ValueError:
            if name in _LENIENT_DATES or not text:
                return None
            raise _refused(name, text, f"Provided {name} is not a valid date") from None

    return convert


def _enum(name: str, shape: Shape) -> Convert:
    values = shape.enum | _VALUES_BESIDE_THE_MODEL.get(shape.name, frozenset())

    def convert(text: str) -> str | None:
        if text in values:
            return text
        if shape.name == "ChecksumMode" and text.upper() in values:
            return text.upper()  # the C++ SDK, and so pyarrow, says "enabled"
        if shape.name == "StorageClass":
            raise InvalidStorageClass(StorageClassRequested=text)
        if shape.name == "ChecksumAlgorithm":
            known = ", ".join(sorted(values))
            raise InvalidRequest(f"Checksum algorithm provided is unsupported; valid are: {known}")
        if shape.name == "ChecksumType":
            raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
        if shape.name == "EncodingType":
            if not text:
                return None
            raise _refused(name, text, "Invalid Encoding Method specified in Request")
        raise _refused(name, text, f"Provided {name} is not one of the values that it may have")

    return convert


def _list(convert_item: Convert) -> Convert:
    def convert(text: str) -> list[Any] | None:
        return [convert_item(item.strip()) for item in text.split(",") if item.strip()] or None

    return convert
