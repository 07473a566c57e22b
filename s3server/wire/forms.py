"""`multipart/form-data` as browsers send it to a bucket: fields first, then one file.

A push parser without I/O: what it is fed may be cut anywhere. Strict where readers differ: no
preamble, no transport padding, one boundary. Sources: RFC 7578; RFC 2046, 5.1; "Browser-based
uploads using POST", Amazon S3 API reference.
"""

from __future__ import annotations

import re
from typing import Literal

from s3server.errors import (
    IncorrectNumberOfFilesInPostRequest,
    InvalidArgument,
    MalformedPOSTRequest,
    MaxPostPreDataLengthExceeded,
)

MAX_BEFORE_BYTES = 20 << 10  # of all that comes before the file's own bytes
MAX_AFTER_BYTES = 20 << 10  # of what follows them: it is read, and means nothing
MEDIA_TYPE = "multipart/form-data"

# RFC 2046, 5.1.1: up to 70 of these, no blank at the end.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]").fullmatch
_NAME = re.compile(rb"[0-9A-Za-z-]{1,64}").fullmatch  # of a header of a part
_FILE = "file"

State = Literal["content", "boundary", "headers", "file", "end"]


def read_boundary(content_type: str) -> bytes:
    """Return the boundary that a Content-Type header names. Raises MalformedPOSTRequest."""
    kind, parameters = _parameters(content_type)
    boundary = parameters.get("boundary", "")
    if kind != MEDIA_TYPE or not _BOUNDARY(boundary):
        raise MalformedPOSTRequest
    return boundary.encode("ascii")


def media_type(content_type: str) -> str:
    """Return the media type alone, in lower case: what follows ";" never decides a route."""
    return content_type.partition(";")[0].strip().lower()


class FormParser:
    """Takes a form apart as it comes in."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}  # those before the file, names in lower case
        self.file_name = ""  # as the browser says it
        self.file_start = -1  # offset of the file's first byte in the body; -1: not there yet
        self._delimiter = b"\r\n--" + boundary
        # As if a line had ended before the first delimiter: it is found like the others.
        self._buffer = bytearray(b"\r\n")
        self._consumed = -2  # bytes of the body that are done with
        self._extent = 0  # bytes before the file, then bytes behind it
        self._state: State = "content"
        self._name: str | None = None  # of the field whose content comes; None: nothing may come

    @property
    def has_file(self) -> bool:
        """Whether the fields are complete: the file begins."""
        return self.file_start >= 0

    @property
    def is_behind_file(self) -> bool:
        """Whether the file's last byte was handed on."""
        return self.has_file and self._state != "file"

    @property
    def is_done(self) -> bool:
        """Whether the closing delimiter was seen."""
        return self._state == "end"

    @property
    def longest_end(self) -> int:
        """How many bytes may follow the file's last one at most."""
        return len(self._delimiter) + 2 + MAX_AFTER_BYTES

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take the next bytes of the body; return those of the file among them.

        Raises MalformedPOSTRequest, MaxPostPreDataLengthExceeded, InvalidArgument for a field
        that is repeated, IncorrectNumberOfFilesInPostRequest.
        """
        self._buffer += data
        content = b""
        while self._step():
            pass
        if self._state == "file":
            content = self._take_content()
            while self._step():
                pass
        self._check_extent(len(self._buffer))
        return content

    def close(self) -> None:
        """Say that the body has ended. Raises MalformedPOSTRequest, InvalidArgument."""
        if not self.is_done:
            raise MalformedPOSTRequest
        if not self.has_file:
            raise InvalidArgument("POST requires exactly one file upload per request.")

    def _step(self) -> bool:
        """Go on to the next state where enough is there for it."""
        if self._state == "content":
            return self._read_content()
        if self._state == "boundary":
            return self._read_boundary()
        if self._state == "headers":
            return self._read_headers()
        if self._state == "end":
            self._drop(len(self._buffer))
        return False

    def _drop(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._consumed += count
        self._extent += count
        self._check_extent(0)
        return taken

    def _check_extent(self, pending: int) -> None:
        extent = self._extent + pending
        if self._state == "file":
            return
        if not self.has_file and extent > MAX_BEFORE_BYTES:
            raise MaxPostPreDataLengthExceeded
        if self.has_file and extent > MAX_AFTER_BYTES:
            raise MalformedPOSTRequest

    def _read_content(self) -> bool:
        """Read a field's value up to the next delimiter; at first there is none to read."""
        at = self._buffer.find(self._delimiter)
        if at < 0:
            start = bytes(self._buffer[: len(self._delimiter)])
            if self._name is None and not self._delimiter.startswith(start):
                raise MalformedPOSTRequest
            return False
        value = self._drop(at)
        self._drop(len(self._delimiter))
        if self._name is not None:
            self._keep(self._name, value)
        elif value:
            raise MalformedPOSTRequest
        self._state = "boundary"
        return True

    def _keep(self, name: str, value: bytes) -> None:
        if self.has_file:
            return
        if name in self.fields:
            raise InvalidArgument("A form field was repeated.", ArgumentName=name, ArgumentValue="")
        try:
            self.fields[name] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedPOSTRequest from None

    def _read_boundary(self) -> bool:
        if len(self._buffer) < 2:
            return False
        end = self._drop(2)
        if end == b"--":
            self._state = "end"
        elif end == b"\r\n":
            self._state = "headers"
        else:
            raise MalformedPOSTRequest
        return True

    def _read_headers(self) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return False
        name, file_name = _disposition(self._drop(at + 4)[:-4].split(b"\r\n"))
        if name == _FILE:
            if self.has_file:
                raise IncorrectNumberOfFilesInPostRequest
            self.file_name, self.file_start = file_name, self._consumed
            self._state = "file"
        else:
            self._name, self._state = name, "content"
        return True

    def _take_content(self) -> bytes:
        """Return the file's bytes that are certain: all but what may begin a delimiter."""
        at = self._buffer.find(self._delimiter)
        if at < 0:
            return self._drop(max(len(self._buffer) - len(self._delimiter) + 1, 0))
        content = self._drop(at)
        self._drop(len(self._delimiter))
        self._state, self._extent = "boundary", 0
        return content


def _disposition(lines: list[bytes]) -> tuple[str, str]:
    """Return the name of a part's field, in lower case, and of its file."""
    headers = [line.partition(b":") for line in lines]
    found = [value for name, _, value in headers if name.lower() == b"content-disposition"]
    if len(found) != 1 or not all(colon and _NAME(name) for name, colon, _ in headers):
        raise MalformedPOSTRequest
    try:
        text = found[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        raise MalformedPOSTRequest from None
    kind, parameters = _parameters(text)
    if kind != "form-data" or "name" not in parameters:
        raise MalformedPOSTRequest
    return parameters["name"].lower(), parameters.get("filename", "")


_PARAMETER = re.compile(r';[ \t]*([A-Za-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))[ \t]*')


def _parameters(text: str) -> tuple[str, dict[str, str]]:
    """Return the value of a header and its parameters. Raises MalformedPOSTRequest.

    Clients write a quote in a value as a backslash and a quote; browsers as %22, which stays.
    """
    kind, _, _ = text.partition(";")
    position, parameters = len(kind), dict[str, str]()
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None or match[1].lower() in parameters:
            raise MalformedPOSTRequest
        value = match[3] if match[2] is None else match[2].replace('\\"', '"')
        parameters[match[1].lower()] = value
        position = match.end()
    return kind.strip().lower(), parameters
