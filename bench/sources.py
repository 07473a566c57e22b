"""Where the ranges of a scan come from: a local file, or HTTP with one or many ranges a request."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.endpoint import Endpoint
from bench.errors import BenchError
from bench.event_file import Range
from bench.signing import Account, Signer

_BOUNDARY = re.compile(r'multipart/byteranges; ?boundary="?([^"]+)"?')
_PLACE = re.compile(rb"(?i)content-range: bytes (\d+)-(\d+)/")


class Local:
    """A file on a local disk."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)

    def read(self, ranges: list[Range]) -> list[bytes]:
        return [os.pread(self._file, length, offset) for offset, length in ranges]

    def close(self) -> None:
        os.close(self._file)


class Remote:
    """An object, read with one range per request on one connection."""

    def __init__(self, endpoint: Endpoint, account: Account, path: str) -> None:
        self._signer: Signer = endpoint.signer(account)
        self._path = path
        self._connection = endpoint.connection()

    def read(self, ranges: list[Range]) -> list[bytes]:
        return [self._get(f"bytes={at}-{at + length - 1}")[1] for at, length in ranges]

    def close(self) -> None:
        self._connection.close()

    def _get(self, ranges: str) -> tuple[str, bytes]:
        """Return the Content-Type and body of a partial answer; BenchError for any other."""
        head = self._signer.render("GET", self._path, headers={"range": ranges})
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
        self._connection.request("GET", self._path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 206:
            raise BenchError(f"GET {self._path} {ranges[:80]}: {answer.status} {body[:300]!r}")
        return answer.headers["Content-Type"], body


class RemoteVector(Remote):
    """An object, read with all ranges in one request (RFC 9110, section 14.6)."""

    def read(self, ranges: list[Range]) -> list[bytes]:
        if len(ranges) == 1:
            return super().read(ranges)
        wanted = ",".join(f"{at}-{at + length - 1}" for at, length in ranges)
        kind, body = self._get(f"bytes={wanted}")
        found = _BOUNDARY.match(kind)
        if found is None:
            raise BenchError(f"many ranges were asked for, {kind} was answered")
        return parts(body, found[1].encode(), ranges)


def parts(body: bytes, boundary: bytes, ranges: list[Range]) -> list[bytes]:
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
