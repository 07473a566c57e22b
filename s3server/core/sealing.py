"""Encryption of blobs: AES-256-GCM in segments; a range is read by decrypting what it touches.

Every object has a random data key, which is kept wrapped (`core.keys`). Each blob of it begins
with a random salt; HMAC-SHA256 of the salt by the data key is the key of that blob alone. Segments
of 64 KiB follow, each with its tag; a segment's nonce is its number. So a segment is bound to its
place and its object, and no key ever sees a nonce twice. That none is missing at the end is known
from the object's size, which the metadata holds.

Sources: NIST SP 800-38D; RFC 5869 for the derivation of one key from another.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3server.data.base import CorruptError
from s3server.model import Source

SEGMENT = 65_536  # bytes of plain text
TAG = 16
SALT = 16
SEALED_SEGMENT = SEGMENT + TAG
KEY_BYTES = 32
# Encrypting this much takes about as long as handing it to a thread and back.
_INLINE_BYTES = 65_536

ReadBytes = Callable[[int, int], Awaitable[bytes]]


def new_data_key() -> bytes:
    """Return the key of a new object."""
    return os.urandom(KEY_BYTES)


def sealed_size(size: int) -> int:
    """Return how many bytes are stored for `size` bytes of plain text; none for none."""
    return SALT + size + TAG * -(-size // SEGMENT) if size else 0


class BlobCipher:
    """Encrypts and decrypts the segments of one blob."""

    def __init__(self, data_key: bytes, salt: bytes) -> None:
        self._gcm = AESGCM(hmac.digest(data_key, salt, "sha256"))

    def seal(self, number: int, plain: bytes | memoryview) -> bytes:
        """Return segment `number`, encrypted, with its tag."""
        return self._gcm.encrypt(number.to_bytes(12, "big"), bytes(plain), None)

    def open(self, number: int, sealed: bytes | memoryview) -> bytes:
        """Return segment `number` as it was. Raises CorruptError."""
        try:
            return self._gcm.decrypt(number.to_bytes(12, "big"), bytes(sealed), None)
        except InvalidTag:
            raise CorruptError(f"segment {number} of an encrypted blob does not verify") from None


class SealingSource:
    """A source, encrypted as it is read. Implements model.Source; what `inner` raises it raises."""

    def __init__(self, inner: Source, data_key: bytes) -> None:
        self.size = sealed_size(inner.size)
        self._inner = inner
        salt = os.urandom(SALT)
        self._cipher, self._number = BlobCipher(data_key, salt), 0
        # Two in turn: while one is filled, what came before may still be hashed in the other.
        room = min(inner.size, SEGMENT * 8) or 1
        self._plain, self._other = memoryview(bytearray(room)), memoryview(bytearray(room))
        self._ready = memoryview(salt if inner.size else b"")

    async def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; see model.Source."""
        filled = 0
        while filled < len(buffer):
            if not self._ready:
                self._plain, self._other = self._other, self._plain
                count = await self._inner.readinto(self._plain)
                if count == 0:
                    break
                self._ready = memoryview(await self._seal(self._plain[:count]))
            taken = self._ready[: len(buffer) - filled]
            buffer[filled : filled + len(taken)] = taken
            self._ready, filled = self._ready[len(taken) :], filled + len(taken)
        return filled

    async def _seal(self, plain: memoryview) -> bytes:
        if len(plain) > _INLINE_BYTES:
            return await asyncio.to_thread(self._seal_all, plain)
        return self._seal_all(plain)

    def _seal_all(self, plain: memoryview) -> bytes:
        pieces = []
        for at in range(0, len(plain), SEGMENT):
            pieces.append(self._cipher.seal(self._number, plain[at : at + SEGMENT]))
            self._number += 1
        return b"".join(pieces)


async def read_sealed(
    read: ReadBytes, stored_size: int, data_key: bytes, start: int, stop: int
) -> bytes:
    """Return plain bytes [start, stop) of a blob whose stored bytes are `read`: no more than that.

    Raises CorruptError.
    """
    first, last = start // SEGMENT, -(-stop // SEGMENT)
    begin = SALT + first * SEALED_SEGMENT
    end = min(SALT + last * SEALED_SEGMENT, stored_size)
    if first == 0:  # the salt lies right before
        stored = await read(0, end)
        salt, sealed = stored[:SALT], memoryview(stored)[SALT:]
    else:
        salt, sealed = await read(0, SALT), memoryview(await read(begin, end))
    cipher = BlobCipher(data_key, salt)

    def open_all() -> bytes:
        pieces = [
            cipher.open(first + at // SEALED_SEGMENT, sealed[at : at + SEALED_SEGMENT])
            for at in range(0, len(sealed), SEALED_SEGMENT)
        ]
        return b"".join(pieces)[start - first * SEGMENT : stop - first * SEGMENT]

    return await asyncio.to_thread(open_all) if len(sealed) > _INLINE_BYTES else open_all()
