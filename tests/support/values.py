"""Contents that name themselves: of any bytes one can tell which value they are, whole or not."""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import dataclass

_LENGTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What one write stores: parts where it is a multipart upload, else one piece."""

    id: int
    pieces: tuple[bytes, ...]
    etag: str  # without quotes

    @property
    def data(self) -> bytes:
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    @property
    def part_etags(self) -> list[str]:
        return [hashlib.md5(piece).hexdigest() for piece in self.pieces]


class Values:
    """Makes contents that all differ, and knows them by id and by ETag."""

    def __init__(self, seed: int) -> None:
        self._pattern = random.Random(seed).randbytes(_LENGTH)
        self._ids = itertools.count(1)
        self._sizes: dict[int, tuple[int, ...]] = {}
        self._etags: dict[str, int] = {}

    def make(self, *sizes: int, multipart: bool = False) -> Content:
        """Return a new content of pieces of these sizes, 16 bytes at least."""
        value = next(self._ids)
        pieces = self._pieces(value, sizes)
        digests = [hashlib.md5(piece).digest() for piece in pieces]
        etag = digests[0].hex()
        if multipart:
            etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
        self._sizes[value], self._etags[etag] = sizes, value
        return Content(value, pieces, etag)

    def by_etag(self, etag: str) -> int | None:
        """Return the id of the value with this ETag (with or without quotes)."""
        return self._etags.get(etag.strip('"'))

    def bytes_of(self, value: int) -> bytes:
        """Return the content of a value."""
        return b"".join(self._pieces(value, self._sizes[value]))

    def _pieces(self, value: int, sizes: tuple[int, ...]) -> tuple[bytes, ...]:
        return tuple(self._piece(value, number, size) for number, size in enumerate(sizes))

    def _piece(self, value: int, number: int, size: int) -> bytes:
        start = (value * 7_919 + number * 104_729) % _LENGTH
        rest = size - 16
        body = self._pattern[start : start + rest]
        while len(body) < rest:
            body += self._pattern[: rest - len(body)]
        return f"{value:012}{number:04}".encode() + body
