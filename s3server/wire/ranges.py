"""Byte ranges: the Range header of reads and x-amz-copy-source-range. Pure and linear.

Source: RFC 9110, section 14. Ranges are half-open here, [start, stop), inclusive on the wire.
"""

from __future__ import annotations

from s3server.errors import InvalidArgument, InvalidRange

MAX_RANGES = 1_024
_HUGE = 10**19  # beyond every object: longer digit strings are not converted

Span = tuple[int, int]


def parse_range(header: str, size: int) -> list[Span] | None:
    """Return the spans that a Range header asks for of `size` bytes, in its order.

    None means the whole object, as if no header had been sent: for another unit or a syntax
    error, and, as RFC 9110 allows against abuse, for more than 1,024 ranges and for several
    that add up to more than the object. Of several ranges those beyond the end are left out.
    Raises InvalidRange where none lies within the object.
    """
    unit, equals, listed = header.partition("=")
    if not equals or unit.strip().lower() != "bytes" or listed.count(",") >= MAX_RANGES:
        return None
    asked: list[tuple[int | None, int | None]] = []
    for part in listed.split(","):
        if text := part.strip(" \t"):
            first, dash, last = text.partition("-")
            if not dash or not _is_bound(first) or not _is_bound(last) or text == "-":
                return None
            asked.append((_number(first), _number(last)))
    if not asked or any(a is not None and b is not None and a > b for a, b in asked):
        return None
    spans = [span for first, last in asked if (span := _span(first, last, size))]
    if not spans:
        raise InvalidRange(
            headers={"content-range": f"bytes */{size}"},  # RFC 9110, 15.5.17
            RangeRequested=header,
            ActualObjectSize=str(size),
        )
    if len(spans) > 1 and sum(stop - start for start, stop in spans) > size:
        return None
    return spans


def parse_copy_range(header: str | None, size: int) -> Span:
    """Return the span of an x-amz-copy-source-range header; the whole source without one.

    Raises InvalidArgument: only "bytes=first-last" within the source is allowed.
    """
    if header is None:
        return 0, size
    first, dash, last = header.removeprefix("bytes=").partition("-")
    is_valid = header.startswith("bytes=") and dash and _is_bound(first) and _is_bound(last)
    start, end = _number(first if is_valid else ""), _number(last if is_valid else "")
    if start is None or end is None or start > end:
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    if end >= size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return start, end + 1


def _span(first: int | None, last: int | None, size: int) -> Span | None:
    if first is None:
        length = min(last or 0, size)  # "-5": the last five bytes
        return (size - length, size) if length else None
    if first >= size:
        return None
    return first, size if last is None else min(last + 1, size)


def _is_bound(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _number(text: str) -> int | None:
    if not text:
        return None
    return int(text) if len(text) < 20 else _HUGE
