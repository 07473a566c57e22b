"""The least of HTTP/1.1 that a load client needs of a response: where it ends, and its status."""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import unescape

_SAMPLE = 400
_ERROR = 2000  # of an error's body are kept, to find its code
_CODE = re.compile(rb"<Code>([\w.]{1,64})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,400})</Message>")


def explained(body: bytes) -> str:
    """Return code and message of the first S3 error in a body; else how the body begins."""
    code, message = _CODE.search(body), _MESSAGE.search(body)
    if code is None:
        return repr(body[:_SAMPLE])
    texts = [found[1].decode("utf-8", "replace") for found in (code, message) if found]
    return ": ".join(" ".join(unescape(text).split()) for text in texts)


class ResponseError(Exception):
    """The bytes are not a response that a keep-alive client can follow."""


class Response:
    """Parses one response at a time, fed with pieces of any size; the body is dropped.

    After feed() returned True: `status`, `size` (bytes of the body), `closes` (the server ends the
    connection), `start` (the first bytes, for error messages). `digest` (hashlib style) sees the
    body if one was given to begin(). error() names an unexpected answer, sample() quotes it.
    """

    def __init__(self) -> None:
        self.begin(bodiless=False)

    def begin(self, *, bodiless: bool, digest: Any = None) -> None:
        """Expect a new response; `bodiless` for HEAD."""
        self.status = 0
        self.size = 0
        self.closes = False
        self.start = b""
        self._error = b""
        self._bodiless = bodiless
        self._digest = digest
        self._pending = b""
        self._left = -1  # bytes of body or chunk to come; -1 in a head or a chunk's frame
        self._chunked = False
        self._last_chunk = False

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; True if the response is complete. Raises ResponseError."""
        if not self.status:
            return self._head(data)
        if self._chunked:
            return self._chunks(data)
        return self._body(data)

    def error(self) -> str:
        """Return the status and, where the body is an S3 error document, its code."""
        found = _CODE.search(self._error)
        return f"{self.status} {found[1].decode()}" if found else str(self.status)

    def sample(self) -> str:
        """Return what an unexpected answer says: its error, or how it begins."""
        if _CODE.search(self._error):
            return f"{self.status} {explained(self._error)}"
        return self.start.decode("latin-1")

    def _head(self, data: bytes) -> bool:
        if self._pending:
            data = self._pending + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._pending = data
            return False
        self._pending = b""
        try:
            status = int(data[9:12])
        except ValueError:
            raise ResponseError(f"not a status line: {data[:80]!r}") from None
        rest = data[end + 4 :]
        if status < 200:  # 100 Continue
            return self._head(rest) if rest else False
        self.status = status
        self.start = data[:_SAMPLE]
        head = data[: end + 2].lower()
        self.closes = b"\r\nconnection: close\r\n" in head
        if self._bodiless or status in {204, 304}:
            return True
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self._left = int(head[at + 17 : head.index(b"\r\n", at + 2)])
            return self._body(rest)
        if b"\r\ntransfer-encoding: chunked\r\n" not in head:
            raise ResponseError("neither a length nor chunks")
        self._chunked = True
        return self._chunks(rest)

    def _body(self, data: bytes) -> bool:
        self._left -= len(data)
        if self._left < 0:
            raise ResponseError("more bytes than the length said")
        self.size += len(data)
        if self.status >= 300 and len(self._error) < _ERROR:
            self._error += data[:_ERROR]
        if self._digest is not None:
            self._digest.update(data)
        return self._left == 0

    def _chunks(self, data: bytes) -> bool:
        data = self._pending + data
        self._pending = b""
        while data:
            if self._left > 0:
                piece = data[: self._left]
                data = data[len(piece) :]
                self._body(piece)
                continue
            # A frame: CRLF after the chunk before (unless it is the first), size, CRLF.
            skip = 2 if self._left == 0 else 0
            end = data.find(b"\r\n", skip)
            if end < 0:
                self._pending = data
                return False
            line = data[skip:end]
            data = data[end + 2 :]
            if self._last_chunk:
                if not line:
                    return True  # the empty line after the trailers
                self._left = -1
                continue
            length = int(line.split(b";")[0], 16)
            self._last_chunk = length == 0
            self._left = length or -1
        return False
