"""The aws-chunked framing of request bodies, as a decoder without I/O.

    hexadecimal size [;chunk-signature=...] CRLF  bytes CRLF  ...  0 [;...] CRLF  trailers  CRLF

Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks", and its page on trailing headers, Amazon S3 API Reference. Chunks stream through: no
more than a line is ever kept, however large a chunk claims to be.
"""

from __future__ import annotations

from typing import NamedTuple

from s3server.errors import (
    IncompleteBody,
    InvalidChunkSizeError,
    InvalidRequest,
    MalformedTrailerError,
    SignatureDoesNotMatch,
)

MAX_LINE_BYTES = 1_024
MAX_TRAILERS = 16
MIN_CHUNK_BYTES = 8_192  # of signed chunks but the last
SIGNATURE_TRAILER = "x-amz-trailer-signature"

_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
_SIGNATURE_NAME = b"chunk-signature="


class ChunkEnd(NamedTuple):
    """Where a signed chunk ends, in bytes of payload, and what it was signed with."""

    position: int
    signature: str


class ChunkDecoder:
    """Takes framed bytes, gives payload. After `is_done`, `trailers` are complete.

    The ends of signed chunks, the empty last one too, are kept for who verifies them.
    """

    def __init__(self, size: int, *, is_signed: bool, has_trailers: bool) -> None:
        self.is_done = False
        self.position = 0  # bytes of payload given so far
        self.trailers: dict[str, str] = {}
        self._ends: list[ChunkEnd] = []
        self._size = size
        self._is_signed = is_signed
        self._has_trailers = has_trailers
        self._line = bytearray()
        self._read_line = self._chunk_header
        self._left = 0  # bytes of payload until the chunk ends
        self._chunk = MIN_CHUNK_BYTES  # size of the chunk before
        self._signature = ""

    def decode(self, source: memoryview, target: memoryview) -> tuple[int, int]:
        """Move payload from `source` to `target`; return how much was taken and given.

        Ends where either is used up or the framing is complete. Raises IncompleteBody,
        InvalidRequest, InvalidChunkSizeError, MalformedTrailerError, SignatureDoesNotMatch.
        """
        taken = given = 0
        while taken < len(source) and not self.is_done:
            if self._left:
                count = min(self._left, len(source) - taken, len(target) - given)
                if not count:
                    break
                target[given : given + count] = source[taken : taken + count]
                taken, given = taken + count, given + count
                self._left -= count
                self.position += count
                if not self._left:
                    self._read_line = self._chunk_end
            else:
                taken += self._take_line(source[taken : taken + MAX_LINE_BYTES])
        return taken, given

    def take_ends(self) -> list[ChunkEnd]:
        """Return the ends of chunks that were reached since the last call."""
        ends, self._ends = self._ends, []
        return ends

    def _take_line(self, source: memoryview) -> int:
        piece = bytes(source)
        end = piece.find(b"\n")
        count = end + 1 if end >= 0 else len(piece)
        self._line += piece[:count]
        if len(self._line) > MAX_LINE_BYTES:
            raise InvalidRequest("A line of the aws-chunked framing is too long.")
        if end >= 0:
            line = bytes(self._line[:-1]).removesuffix(b"\r")
            self._line.clear()
            self._read_line(line)
        return count

    def _chunk_header(self, line: bytes) -> None:
        digits, _, extensions = line.partition(b";")
        if not 1 <= len(digits) <= 16 or not _HEXADECIMAL.issuperset(digits):
            raise InvalidRequest("The aws-chunked framing of the body is malformed.")
        size = int(digits, 16)
        self._signature = self._find_signature(extensions)
        if size and self._is_signed and self._chunk < MIN_CHUNK_BYTES:
            raise InvalidChunkSizeError(BadChunkSizeInBytes=str(self._chunk))
        if self.position + size > self._size:
            raise IncompleteBody
        self._chunk = self._left = size
        if size == 0:
            self._end_chunk()
            self._read_line = self._trailer if self._has_trailers else self._last_line

    def _find_signature(self, extensions: bytes) -> str:
        if not self._is_signed:
            return ""
        for extension in extensions.split(b";"):
            if extension.startswith(_SIGNATURE_NAME):
                return extension[len(_SIGNATURE_NAME) :].decode("latin-1")
        raise SignatureDoesNotMatch("A chunk of the body carries no signature.")

    def _chunk_end(self, line: bytes) -> None:
        if line:
            raise InvalidRequest("The aws-chunked framing of the body is malformed.")
        self._end_chunk()
        self._read_line = self._chunk_header

    def _end_chunk(self) -> None:
        if self._is_signed:
            self._ends.append(ChunkEnd(self.position, self._signature))

    def _last_line(self, line: bytes) -> None:
        if line:
            raise InvalidRequest("The aws-chunked framing of the body is malformed.")
        self.is_done = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            # Some clients close the list of trailers before they sign it.
            awaits_signature = self._is_signed and SIGNATURE_TRAILER not in self.trailers
            self.is_done = not awaits_signature
            return
        name, colon, value = line.decode("latin-1").partition(":")
        name = name.strip().lower()
        if not colon or not name or name in self.trailers or len(self.trailers) >= MAX_TRAILERS:
            raise MalformedTrailerError
        self.trailers[name] = value.strip()
