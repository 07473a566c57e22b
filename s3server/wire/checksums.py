"""The checksums of S3: running, compared, and of multipart objects.

Source: "Checking object integrity for data uploads", Amazon S3 user guide. CRCs are written as
base64 of their big-endian bytes. CRC32 runs on ISA-L, CRC32C and CRC64NVME on AWS's own
library; each reaches several GB/s, MD5 and the SHAs (OpenSSL) about 1.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from awscrt.checksums import (
    XXHash,
    combine_crc32,
    combine_crc32c,
    combine_crc64nvme,
    crc32c,
    crc64nvme,
)
from isal.isal_zlib import adler32, crc32

from s3server.errors import BadDigest, InvalidRequest

# What is stored with S3's checksums, of every object, and is none of them: 8 hexadecimal digits.
ADLER32 = "Adler32"
_ADLER_BASE = 65_521  # RFC 1950, 8.2
DEFAULT_ALGORITHM = "CRC64NVME"  # what AWS computes where the client declares none
Buffer = bytes | bytearray | memoryview


class Running(Protocol):
    """A checksum over bytes given piece by piece; hashlib's objects are such."""

    def update(self, data: Buffer, /) -> None: ...

    def digest(self) -> bytes: ...


class RunningCrc:
    """A CRC over bytes given piece by piece."""

    def __init__(self, function: Callable[[Any, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        """Go on over `data`."""
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        """Return the CRC so far, big-endian."""
        return self._value.to_bytes(self._size, "big")


class RunningAdler32(RunningCrc):
    """The Adler-32 of bytes given piece by piece: that of no bytes is 1."""

    def __init__(self) -> None:
        super().__init__(adler32, 4)
        self._value = 1


def combine_adler32(first: int, second: int, size: int) -> int:
    """Return the Adler-32 of bytes one after the other, from both's and the size of the second."""
    low = (first & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + size * low
    return high % _ADLER_BASE << 16 | (low + (second & 0xFFFF)) % _ADLER_BASE


class RunningXxHash:
    """An XXH over bytes given piece by piece, which awscrt tells once only."""

    def __init__(self, new: Callable[[], XXHash]) -> None:
        self._running = new()
        self._digest = b""

    def update(self, data: Buffer, /) -> None:
        """Go on over `data`."""
        self._running.update(bytes(data))  # it takes nothing that could change

    def digest(self) -> bytes:
        """Return the hash, big-endian; nothing can be added after that."""
        self._digest = self._digest or self._running.finalize()
        return self._digest


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One checksum algorithm: what it is called where, and how it is computed."""

    name: str  # in x-amz-sdk-checksum-algorithm
    member: str  # in AWS's model, and as stored
    header: str
    size: int  # bytes of the digest
    new: Callable[[], Running]
    combine: Callable[[int, int, int], int] | None = None  # CRCs of a, of b, length of b


def new_md5() -> Running:
    """Return a running MD5, which S3 uses as ETag and nothing else."""
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> Running:
    return hashlib.sha1(usedforsecurity=False)


ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", "ChecksumCRC32", "x-amz-checksum-crc32", 4,
                  lambda: RunningCrc(crc32, 4), combine_crc32),
        Algorithm("CRC32C", "ChecksumCRC32C", "x-amz-checksum-crc32c", 4,
                  lambda: RunningCrc(crc32c, 4), combine_crc32c),
        Algorithm("CRC64NVME", "ChecksumCRC64NVME", "x-amz-checksum-crc64nvme", 8,
                  lambda: RunningCrc(crc64nvme, 8), combine_crc64nvme),
        Algorithm("SHA1", "ChecksumSHA1", "x-amz-checksum-sha1", 20, _sha1),
        Algorithm("SHA256", "ChecksumSHA256", "x-amz-checksum-sha256", 32, hashlib.sha256),
        Algorithm("SHA512", "ChecksumSHA512", "x-amz-checksum-sha512", 64, hashlib.sha512),
        Algorithm("MD5", "ChecksumMD5", "x-amz-checksum-md5", 16, new_md5),
        Algorithm("XXHASH64", "ChecksumXXHASH64", "x-amz-checksum-xxhash64", 8,
                  lambda: RunningXxHash(XXHash.new_xxhash64)),
        Algorithm("XXHASH3", "ChecksumXXHASH3", "x-amz-checksum-xxhash3", 8,
                  lambda: RunningXxHash(XXHash.new_xxhash3_64)),
        Algorithm("XXHASH128", "ChecksumXXHASH128", "x-amz-checksum-xxhash128", 16,
                  lambda: RunningXxHash(XXHash.new_xxhash3_128)),
    )
}  # fmt: skip
BY_HEADER: Mapping[str, Algorithm] = {a.header: a for a in ALGORITHMS.values()}
# Headers that begin like a checksum's and are none.
NO_CHECKSUM = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})


def decoded(text: str, size: int) -> bytes | None:
    """Return the digest of `size` bytes that base64 `text` stands for; None where it is none."""
    try:
        digest = b64decode(text.encode("latin-1", "replace"), validate=True)
    except (Base64Error, ValueError):
        return None
    return digest if len(digest) == size else None


def mismatch(algorithm: Algorithm) -> BadDigest:
    """Return the error for bytes whose checksum is another than the client's."""
    return BadDigest(f"The {algorithm.name} you specified did not match the calculated checksum.")


def whole_checksum(
    request: Mapping[str, Any],
    *,
    algorithm: str,
    checksum_type: str,
    parts: Sequence[tuple[Mapping[str, str], int]],
) -> tuple[str, str] | None:
    """Return the checksum of a multipart object, as ("ChecksumCRC32", value), from its parts'.

    `parts` holds the stored checksums and the size in bytes of each part, in order. Without an
    `algorithm` the CRC that all parts share is taken. None where a part has no such checksum.
    Raises BadDigest where `request` (of CompleteMultipartUpload) states another value.
    """
    chosen = ALGORITHMS.get(algorithm) if algorithm else _shared(parts)
    if chosen is None or not parts:
        return None
    digests = [decoded(sums.get(chosen.member, ""), chosen.size) for sums, _ in parts]
    known = [digest for digest in digests if digest is not None]
    if len(known) != len(parts):
        return None
    if checksum_type == "COMPOSITE" or chosen.combine is None:
        value = composite(chosen, known)
    else:
        value = full_object(chosen, known, [size for _, size in parts])
    stated = request.get(chosen.member)
    if stated is not None and stated != value:
        raise mismatch(chosen)
    return chosen.member, value


def whole_adler32(parts: Sequence[tuple[Mapping[str, str], int]]) -> tuple[str, str] | None:
    """Return the Adler-32 of a multipart object as it is stored; None where a part has none."""
    value = 1
    for sums, size in parts:
        if ADLER32 not in sums:
            return None
        value = combine_adler32(value, int(sums[ADLER32], 16), size)
    return ADLER32, f"{value:08x}"


def composite(algorithm: Algorithm, digests: Sequence[bytes]) -> str:
    """Return the checksum over the parts' checksums, with their count: "base64-3"."""
    running = algorithm.new()
    for digest in digests:
        running.update(digest)
    return f"{b64encode(running.digest()).decode()}-{len(digests)}"


def full_object(algorithm: Algorithm, digests: Sequence[bytes], sizes: Sequence[int]) -> str:
    """Return the CRC of the parts' bytes one after the other, without reading them again.

    Raises InvalidRequest for algorithms that cannot do that (SHA1, SHA256).
    """
    if algorithm.combine is None:
        raise InvalidRequest(f"The FULL_OBJECT checksum type cannot be used with {algorithm.name}.")
    value = 0
    for digest, size in zip(digests, sizes, strict=True):
        value = algorithm.combine(value, int.from_bytes(digest, "big"), size)
    return b64encode(value.to_bytes(algorithm.size, "big")).decode()


def _shared(parts: Sequence[tuple[Mapping[str, str], int]]) -> Algorithm | None:
    for algorithm in ALGORITHMS.values():
        if algorithm.combine and all(algorithm.member in sums for sums, _ in parts):
            return algorithm
    return None
