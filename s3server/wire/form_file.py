"""The file of a form upload while it streams in. Implements model.OpenUpload.

How long it is shows at its end, as fields may follow it. But these are bounded, so all of the
body except its last 20 KiB surely is the file's: that much has a known length and is written as it
comes; the rest is read into memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from s3server.errors import EntityTooLarge, EntityTooSmall, MissingContentLength
from s3server.wire.body import INLINE_BYTES, Body, Receive
from s3server.wire.checksums import DEFAULT_ALGORITHM
from s3server.wire.digests import Digests
from s3server.wire.forms import FormParser, read_boundary
from s3server.wire.promises import read_promises

# Below this the whole file is read into memory and stored in one piece.
SMALL_BYTES = 1 << 20
_PIECE_BYTES = 256 << 10


class FormFile:
    """Reads the body of a form: its fields, then the file."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], payload: str) -> None:
        """Begin to read a form; `payload` is how its request is signed, as in `Body`.

        Raises MalformedPOSTRequest, MissingContentLength, and what Body raises.
        """
        self.parser = FormParser(read_boundary(headers.get("content-type", "")))
        self._body = Body(receive, headers, payload=payload)
        if "content-length" not in headers:
            raise MissingContentLength
        self._buffer = memoryview(bytearray(min(self._body.size, _PIECE_BYTES) or 1))
        self._content = b""  # of the file, read and not yet handed on
        self._has_ended = False
        self._size = 0  # bytes of the file so far
        self._least, self._most = 0, self._body.size
        self.head: FormHead | None = None
        self._digests = Digests(read_promises({}, payload="", has_checksum=False), None, "")

    async def read_fields(self) -> dict[str, str]:
        """Return the fields before the file, names in lower case; at the file's first byte."""
        while not self.parser.has_file and not self._has_ended:
            await self._read()
        if self._has_ended:
            self.parser.close()
        return self.parser.fields

    def begin(self, headers: Mapping[str, str], *, least: int, most: int) -> None:
        """Say how many bytes the file may have, and by `headers` what is promised of them.

        Raises EntityTooLarge, and what read_promises() raises.
        """
        promises = read_promises(headers, payload="UNSIGNED-PAYLOAD", has_checksum=True)
        self._digests = Digests(promises, None, DEFAULT_ALGORITHM)
        self._least, self._most = least, most
        self._check_size(len(self._content))
        surely = self._body.size - self.parser.file_start - self.parser.longest_end
        self._check_size(surely)
        if surely > SMALL_BYTES:
            self.head = FormHead(self, surely)

    @property
    def etag(self) -> str:
        """MD5 of the file in hexadecimal."""
        return self._digests.md5_hex

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """The checksum that the form declares, or the default one."""
        return self._digests.checksums

    async def rest(self) -> bytes:
        """Return what follows the head, to the end; then all promises were kept.

        Raises EntityTooSmall, EntityTooLarge, BadDigest, what FormParser and Body raise.
        """
        content = bytearray()
        while piece := await self.take(_PIECE_BYTES):
            content += piece
        while not self._has_ended:  # what follows the file
            await self._read()
        self.parser.close()
        if self._size < self._least:
            raise EntityTooSmall(ProposedSize=str(self._size), MinSizeAllowed=str(self._least))
        self._digests.verify({})
        return bytes(content)

    async def take(self, limit: int) -> bytes:
        """Return the next bytes of the file, hashed; none after its last one."""
        while not self._content:
            if self._has_ended or (self.parser.has_file and self.parser.is_behind_file):
                return b""
            await self._read()
        piece, self._content = self._content[:limit], self._content[limit:]
        start, self._size = self._size, self._size + len(piece)
        self._check_size(self._size)
        if len(piece) > INLINE_BYTES:
            await asyncio.to_thread(self._digests.absorb, memoryview(piece), start, ())
        else:
            self._digests.absorb(memoryview(piece), start, ())
        return piece

    async def _read(self) -> None:
        count = await self._body.readinto(self._buffer)
        if count == 0:
            self._has_ended = True
            return
        self._content += self.parser.feed(bytes(self._buffer[:count]))

    def _check_size(self, size: int) -> None:
        if size > self._most:
            raise EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(self._most))


class FormHead:
    """The first `size` bytes of the file, which surely are its. Implements model.Source."""

    def __init__(self, file: FormFile, size: int) -> None:
        self.size = size
        self._file, self._left = file, size

    async def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; see model.Source."""
        wanted = min(len(buffer), self._left)
        filled = 0
        while filled < wanted:
            piece = await self._file.take(wanted - filled)
            if not piece:  # more follows the file than may: the parser says so
                await self._file.rest()
                raise AssertionError("a form ended within the head of its file")
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._left -= filled
        return filled
