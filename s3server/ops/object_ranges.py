"""Several ranges of an object in one answer: `multipart/byteranges` (RFC 9110, 14.6).

What ROOT and other readers of columnar files call a vector read: up to 1,024 small ranges in one
request. Ranges that lie close together are read from the disks in one piece.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from s3server.core.objects import Objects
from s3server.core.records import BlobRecord

PIECE_BYTES = 1_048_576  # what is read in one piece at most
NEAR_BYTES = 16_384  # a gap that is cheaper to read than to seek over

Span = tuple[int, int]


class MultiRange:
    """The answer to a request for several ranges: each part in the order it was asked for."""

    def __init__(
        self,
        objects: Objects,
        blob: BlobRecord,
        spans: Sequence[Span],
        size: int,
        content_type: str,
        *,
        boundary: str,
        key: bytes = b"",
    ) -> None:
        """Prepare the answer. `boundary` is of this answer alone: no object can contain it.

        `key` is the data key of an encrypted object.
        """
        self._key = key
        self._boundary = boundary
        self._objects, self._blob, self._spans = objects, blob, spans
        self._heads = [
            (
                f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
                f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n\r\n"
            ).encode()
            for start, stop in spans
        ]
        self._end = f"\r\n--{boundary}--\r\n".encode()

    def describe(self) -> dict[str, Any]:
        """Return the members of the answer."""
        length = sum(stop - start for start, stop in self._spans)
        length += sum(len(head) for head in self._heads) + len(self._end)
        return {
            "@status": 206,
            "ContentType": f"multipart/byteranges; boundary={self._boundary}",
            "ContentLength": length,
            "Body": self._parts(),
        }

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        position = 0
        for group in near_groups(self._spans):
            if group[0][1] - group[0][0] > PIECE_BYTES:
                head = self._heads[position]
                pieces_of = self._objects.stream(self._blob, *group[0], self._key)
                async with aclosing(pieces_of) as stream:
                    async for piece in stream:
                        yield head + piece
                        head = b""
                position += 1
                continue
            first = min(start for start, _ in group)
            data = await self._objects.read(
                self._blob, first, max(stop for _, stop in group), self._key
            )
            pieces = []
            for start, stop in group:
                pieces += [self._heads[position], data[start - first : stop - first]]
                position += 1
            yield b"".join(pieces)
        yield self._end


def near_groups(spans: Sequence[Span]) -> list[list[Span]]:
    """Return runs of spans, in their order, that one read of at most PIECE_BYTES covers well."""
    groups: list[list[Span]] = []
    first = last = 0
    for start, stop in spans:
        low, high = min(first, start), max(last, stop)
        near = start <= last + NEAR_BYTES and stop + NEAR_BYTES >= first
        if groups and near and high - low <= PIECE_BYTES:
            groups[-1].append((start, stop))
            first, last = low, high
        else:
            groups.append([(start, stop)])
            first, last = start, stop
    return groups
