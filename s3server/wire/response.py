"""An answer, ready to be sent, and the one gate that header values pass."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import msgspec

_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch

Headers = list[tuple[bytes, bytes]]

# The ASGI extension, and the type of its one message, that sends `status`, `headers` and the whole
# `body` at once: two messages and the coroutines around them cost a GET of 4 KB a twentieth more.
WHOLE = "s3server.response"


class Response(msgspec.Struct, frozen=True, gc=False):
    """Status, headers with names in lower case as ASGI wants them, and the body."""

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes]


def header_value(text: str) -> bytes:
    """Return a header's value in UTF-8.

    Raises ValueError for control characters: whoever let them come this far has a bug, and
    the response must not be split (CVE-2020-10753, CVE-2021-3524).
    """
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    if _CONTROL(text):
        raise ValueError("a header value contains control characters")
    return text.encode("utf-8")


def is_token(text: str) -> bool:
    """Return whether a header can have this name (RFC 9110, 5.6.2)."""
    return _TOKEN(text) is not None


def header_name(text: str) -> bytes:
    """Return a header's name in lower case; ValueError where it is no token."""
    if not is_token(text):
        raise ValueError("a header name is not a token")
    return text.lower().encode("ascii")
