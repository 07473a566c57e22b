"""Plain requests, read in one go: a GET or HEAD of one object that asks for nothing else.

Most requests of most clients are such. Their bytes need no parser that calls back for each field;
what is not surely plain is left to the parser, which knows all of HTTP.
"""

from __future__ import annotations

import re

from s3server.model import HttpRequest
from s3server.wire.request import is_host

MAX_BYTES = 4096  # well below the limits of the protocol
CHECKSUM_MODE = "x-amz-checksum-mode"

# Fields that prove who asks, and such as change nothing; None: whatever their values are.
_FIELDS: dict[str, tuple[str, ...] | None] = {
    "accept": None,
    "accept-encoding": None,
    "amz-sdk-invocation-id": None,
    "amz-sdk-request": None,
    "authorization": None,
    "connection": ("keep-alive", "Keep-Alive"),
    "host": None,
    "traceparent": None,
    "tracestate": None,
    "user-agent": None,
    "x-amz-content-sha256": None,
    "x-amz-date": None,
    "x-amz-user-agent": None,
    CHECKSUM_MODE: ("ENABLED",),
}
_PRINTABLE = bytes(range(32, 127))

_LINE = re.compile(r"(GET|HEAD) (/[A-Za-z0-9%._~/-]{1,2048}) HTTP/1\.1").fullmatch


def read_plain(data: bytes, *, scheme: str, client: str) -> HttpRequest | None:
    """Return the request that these bytes are, if they are one whole plain request, else None.

    What is returned is what the parser and read_request() would make of the same bytes.
    """
    if data[-4:] != b"\r\n\r\n" or len(data) > MAX_BYTES or not data.isascii():
        return None
    text = data[:-4].decode("ascii")
    lines = text.split("\r\n")
    # No control characters but those that end the lines, and these in pairs.
    if data.translate(None, _PRINTABLE) != b"\r\n" * (len(lines) + 1):
        return None
    if ":  " in text or " \r\n" in text or text[-1:] == " ":  # blanks around a value
        return None
    line, headers = _LINE(lines[0]), _read_fields(lines[1:])
    if line is None or headers is None or not is_host(headers.get("host", "")):
        return None
    method, path = line.groups()
    return HttpRequest(method, path, "", headers, scheme, client)


def _read_fields(lines: list[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        name = name.lower()
        values = _FIELDS.get(name, ())
        if not colon or (values is not None and value not in values):
            return None
        headers[name] = value
    return headers if len(headers) == len(lines) else None
