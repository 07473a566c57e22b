"""Where the ranges of a scan come from: a local file, or HTTP with one or many ranges a request."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bench.endpoint import Endpoint
from bench.errors import BenchError
from bench.event_file import Piece, Range
from bench.signing import Account, Signer

_BOUNDARY = re.compile(r'multipart/byteranges; ?boundary="?([^"]+)"?')
_HEAD = 4096  # bytes that are asked for while the head is not complete
_PLACE = re.compile(rb"(?i)content-range: bytes (\d+)-(\d+)/")


class Local:
    """A file on a local disk."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)

    def read(self, ranges: list[Range]) -> Sequence[Piece]:
        return [os.pread(self._file, length, offset) for offset, length in ranges]

    def close(self) -> None:
        os.close(self._file)


class Remote:
    """An object, read with one range per request on one connection.

    It speaks HTTP by itself: `http.client` spends more on the head of an answer than the server.
    """

    def __init__(self, endpoint: Endpoint, account: Account, path: str) -> None:
        self._signer: Signer = endpoint.signer(account)
        self._path = path
        self._endpoint = endpoint
        self._socket = endpoint.socket()

    def read(self, ranges: list[Range]) -> Sequence[Piece]:
        return [self._get(f"bytes={at}-{at + length - 1}")[1] for at, length in ranges]

    def close(self) -> None:
        self._socket.close()

    def _get(self, ranges: str) -> tuple[str, bytearray]:
        """Return the Content-Type and body of a partial answer; BenchError for any other."""
        self._socket.sendall(self._signer.render("GET", self._path, headers={"range": ranges}))
        status, headers, body = self._answer()
        if status != 206:
            raise BenchError(f"GET {self._path} {ranges[:80]}: {status} {body[:300]!r}")
        return headers["content-type"], body

    def _answer(self) -> tuple[int, dict[str, str], bytearray]:
        """Return status, headers by lower-case name, and body of the next answer."""
        begun = bytearray()
        while (end := begun.find(b"\r\n\r\n")) < 0:
            got = self._socket.recv(_HEAD)
            if not got:
                raise BenchError(f"GET {self._path}: the connection ended")
            begun += got
        first, *lines = begun[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = bytearray(int(headers["content-length"]))
        have = len(begun) - end - 4
        body[:have] = begun[end + 4 :]
        with memoryview(body) as view:
            while have < len(body):
                count = self._socket.recv_into(view[have:])
                if not count:
                    raise BenchError(f"GET {self._path}: the body ended early")
                have += count
        if headers.get("connection", "").lower() == "close":  # nginx does after 1,000 requests
            self._socket.close()
            self._socket = self._endpoint.socket()
        return int(first.split(" ")[1]), headers, body


class RemoteVector(Remote):
    """An object, read with all ranges in one request (RFC 9110, section 14.6)."""

    def read(self, ranges: list[Range]) -> Sequence[Piece]:
        if len(ranges) == 1:
            return super().read(ranges)
        wanted = ",".join(f"{at}-{at + length - 1}" for at, length in ranges)
        kind, body = self._get(f"bytes={wanted}")
        found = _BOUNDARY.match(kind)
        if found is None:
            raise BenchError(f"many ranges were asked for, {kind} was answered")
        return parts(body, found[1].encode(), ranges)


def parts(body: bytes | bytearray, boundary: bytes, ranges: list[Range]) -> Sequence[Piece]:
    """Return the parts of multipart/byteranges; BenchError if they are not these ranges."""
    found = []
    at = 0
    for offset, length in ranges:
        begin = body.find(b"--" + boundary, at)
        end = body.find(b"\r\n\r\n", begin)
        place = _PLACE.search(body, begin, end) if begin >= 0 else None
        if place is None or (int(place[1]), int(place[2])) != (offset, offset + length - 1):
            raise BenchError(f"the part for {offset}+{length} is not where it should be")
        at = end + 4 + length
        found.append(body[end + 4 : at])
    return found
