"""The body of a request: length, framing, digests and signatures, while it streams in.

A Body is the model's Upload over an ASGI `receive`. Whatever the client promised in headers
and trailers is verified before readinto() returns 0; nothing is to be committed earlier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from s3server.eager import within
from s3server.errors import (
    EntityTooLarge,
    IncompleteBody,
    MaxMessageLengthExceeded,
    MissingContentLength,
    RequestTimeout,
    S3Error,
)
from s3server.model import ChunkVerifier
from s3server.wire.aws_chunked import ChunkDecoder, ChunkEnd
from s3server.wire.digests import Digests
from s3server.wire.promises import read_promises

Receive = Callable[[], Coroutine[Any, Any, Mapping[str, Any]]]

# Hashing this much takes about as long as handing it to a thread and back.
INLINE_BYTES = 65_536
_NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much may come in, and how slowly: below 1 KiB/s over 30 s the client is given up."""

    max_size: int = 5 * 1024**3  # bytes of payload
    patience_s: float = 30.0  # of waiting for the next `progress_bytes`
    progress_bytes: int = 30 * 1024


_DEFAULT_LIMITS = BodyLimits()


class Body:
    """The bytes that a request carries, with what S3 stores of them. Implements model.Upload."""

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[str, str],
        *,
        payload: str = "UNSIGNED-PAYLOAD",
        chunks: ChunkVerifier | None = None,
        limits: BodyLimits = _DEFAULT_LIMITS,
        has_checksum: bool = True,
        default_algorithm: str = "",
    ) -> None:
        """Read what the headers promise of the body; nothing is received yet.

        `payload` and `chunks` are what authentication found. `has_checksum` is False where
        x-amz-checksum-* speaks of something else than this body (CompleteMultipartUpload).
        `default_algorithm` is computed where the client declares none: "CRC64NVME" for
        objects. Raises what read_promises() raises.
        """
        self._promises = promises = read_promises(
            headers, payload=payload, has_checksum=has_checksum
        )
        self._receive = receive
        self._limits = limits
        self._digests = Digests(promises, chunks, default_algorithm)
        self._decoder: ChunkDecoder | None = None
        if promises.is_chunked:
            self._decoder = ChunkDecoder(
                promises.size or 0, is_signed=promises.is_signed, has_trailers=promises.has_trailers
            )
        self._message = _NOTHING  # received and not yet handed on
        self._has_ended = promises.is_empty
        self._position = 0  # bytes of payload handed on
        self._is_verified = False
        self._hashing: asyncio.Future[None] | None = None
        self._waited_s = 0.0  # for the bytes in `_progress`
        self._progress = 0

    @property
    def size(self) -> int:
        """Bytes of payload. Raises MissingContentLength or EntityTooLarge."""
        size = self._promises.size
        if size is None:
            raise MissingContentLength
        if size > self._limits.max_size:
            raise EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(self._limits.max_size))
        return size

    @property
    def etag(self) -> str:
        """MD5 of the bytes in hexadecimal."""
        return self._digests.md5_hex

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """The declared or default checksum: (("ChecksumCRC32", base64),), or ()."""
        return self._digests.checksums

    async def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` and return the count of bytes; see model.Source.

        Large buffers are hashed in a thread meanwhile and until the next call returns. Raises
        IncompleteBody, RequestTimeout, what ChunkDecoder.decode() and what Digests.verify()
        raise.
        """
        size, start = self.size, self._position
        assert len(buffer) or start == size, "a count of 0 means the end"
        try:
            count = await self._fill(buffer[: size - start])
            self._position += count
            if self._hashing is not None:
                await self._settle()
        except S3Error:
            await self._settle()  # the caller may use its buffers again
            raise
        if self._digests.failure is not None:
            raise self._digests.failure  # no need to receive the rest
        if count:
            self._hash(buffer[:count], start)
        elif self._position == size and not self._is_verified:
            await self._finish()
        return count

    async def read_all(self, limit: int) -> bytes:
        """Return the whole body, verified. Raises MaxMessageLengthExceeded above `limit` bytes.

        Memory is taken as the bytes come: a promised length costs a client nothing.
        """
        size = self._promises.size
        if size is None and self._promises.is_empty:
            self._digests.verify({})
            return b""
        if size is not None and size > limit:
            raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(limit))
        content = bytearray()
        piece = memoryview(bytearray(min(self.size, INLINE_BYTES) or 1))
        while count := await self.readinto(piece):  # hashed at once: the piece can be used again
            content += piece[:count]
        return bytes(content)

    async def _fill(self, target: memoryview) -> int:
        """Fill `target` to its end."""
        count, wanted, decoder = 0, len(target), self._decoder
        while count < wanted:
            if not self._message:
                await self._next_message()
            message = self._message
            if decoder is None:
                given = taken = min(len(message), wanted - count)
                target[count : count + given] = message[:taken]
            else:
                taken, given = decoder.decode(message, target[count:])
                if decoder.is_done and count + given < wanted:
                    raise IncompleteBody
            self._message = message[taken:] if taken < len(message) else _NOTHING
            count += given
        return count

    async def _finish(self) -> None:
        """Receive what follows the payload, and hold everything against the promises."""
        decoder = self._decoder
        trailers: Mapping[str, str] = {}
        if decoder is not None:
            while not decoder.is_done:
                if not self._message:
                    await self._next_message()
                taken, _ = decoder.decode(self._message, _NOTHING)
                self._message = self._message[taken:]
            self._digests.absorb(_NOTHING, self._position, decoder.take_ends())
            trailers = decoder.trailers
        while not self._has_ended and not self._message:
            await self._next_message()
        if self._message:
            raise IncompleteBody
        self._digests.verify(trailers)
        self._is_verified = True

    def _hash(self, data: memoryview, start: int) -> None:
        ends: list[ChunkEnd] = self._decoder.take_ends() if self._decoder else []
        if len(data) <= INLINE_BYTES:
            self._digests.absorb(data, start, ends)
        else:
            loop = asyncio.get_running_loop()
            self._hashing = loop.run_in_executor(None, self._digests.absorb, data, start, ends)

    async def _settle(self) -> None:
        """Wait until the buffer before is hashed."""
        if self._hashing is not None:
            hashing, self._hashing = self._hashing, None
            await hashing

    async def _next_message(self) -> None:
        """Receive until there are bytes or the end. Raises IncompleteBody, RequestTimeout."""
        if self._has_ended:
            raise IncompleteBody
        now = asyncio.get_running_loop().time
        began = now()
        try:
            left_s = self._limits.patience_s - self._waited_s
            message = await within(left_s, self._receive())
        except TimeoutError:
            raise RequestTimeout(headers={"Connection": "close"}) from None
        if message["type"] != "http.request":
            self._has_ended = True
            raise IncompleteBody
        self._message = memoryview(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        # Only waiting counts: while storage is slow, the client is not to blame.
        self._waited_s += now() - began
        self._progress += len(self._message)
        if self._progress >= self._limits.progress_bytes:
            self._waited_s, self._progress = 0.0, 0
