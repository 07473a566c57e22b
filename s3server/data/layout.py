"""The formats on disk: volume files and shard files. Integers are big-endian, checksums CRC32C.

Volume file `volumes/<id>.vol`, append-only, holds small blobs:

    header   24 bytes   magic "S3VOLUME", format version u32, volume id (8), checksum of these
    record   32 bytes   magic "BLOB", blob id (16), size u32, checksum of the data,
                        checksum of these 28 bytes; then the data
    ...                 records follow each other without padding, zeros may follow the last one

A record that the file's end cuts off, or that is not whole, was torn by a crash before anyone was
told that it is durable. Zeros were written ahead (`Vfs.append_durably`). Reading never scans: a
DataRef says where its record begins.

Shard file `shards/<last byte of the blob id>/<blob id>.<shard index>` holds one shard of a large
blob, in pages of 4096 bytes:

    data     the shard, padded with zeros to a full page
    table    pages of 1023 checksums and, at the page's end, the checksum of shard name, page
             number and these; checksum n is that of block n, 64 KiB of data with its padding
    trailer  one page: magic "S3SHARD1", format version u32, blob id (16), shard index u32, length
             of the shard u64, block size u32, codec name (32, padded with zeros), zeros; at the
             page's end the checksum of the page before it

Whoever reads a shard knows all that the trailer must say from the blob's DataRef, hence compares
it byte by byte: a file that belongs to another shard never passes. Every byte of a shard file is
under a checksum. The shards of an erasure code are pyeclib fragments, one per stripe, each with
the 80 bytes of header that pyeclib gives it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from awscrt.checksums import crc32c

FORMAT_VERSION = 1
PAGE = 4096
BLOCK = 64 * 1024

_VOLUME = struct.Struct(">8sI8s")
_RECORD = struct.Struct(">4s16sII")
_TRAILER = struct.Struct(">8sI16sIQI32s")
_CHECKSUM = struct.Struct(">I")

RECORD_MAGIC = b"BLOB"
VOLUME_HEADER = _VOLUME.size + _CHECKSUM.size
RECORD_HEADER = _RECORD.size + _CHECKSUM.size
CHECKSUMS_PER_PAGE = PAGE // _CHECKSUM.size - 1


@dataclass(frozen=True, slots=True)
class Shard:
    """Which shard a file holds, and how long it is: all that its trailer says."""

    blob: bytes
    index: int
    codec: str
    size: int  # bytes of the shard, without padding

    @property
    def file_name(self) -> str:
        return f"{self.blob.hex()}.{self.index}"

    @property
    def padded(self) -> int:
        """Return the length of the data with its padding, where the table begins."""
        return pages(self.size) * PAGE

    @property
    def trailer_offset(self) -> int:
        return self.padded + pages_of_table(self.size) * PAGE

    @property
    def file_size(self) -> int:
        return self.trailer_offset + PAGE


def pages(size: int) -> int:
    """Return how many pages hold `size` bytes."""
    return -(-size // PAGE)


def pages_of_table(size: int) -> int:
    """Return how many pages the checksums of a shard of `size` bytes need."""
    blocks = -(-size // BLOCK)
    return -(-blocks // CHECKSUMS_PER_PAGE)


def block_checksums(data: memoryview) -> list[int]:
    """Return the checksum of each block of `data`, which begins at a block's start."""
    return [crc32c(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]


def table_pages(shard: Shard, checksums: list[int]) -> Iterator[bytes]:
    """Yield the pages of a shard's table."""
    for number in range(pages_of_table(shard.size)):
        some = checksums[number * CHECKSUMS_PER_PAGE : (number + 1) * CHECKSUMS_PER_PAGE]
        body = struct.pack(f">{len(some)}I", *some).ljust(PAGE - 4, b"\0")
        yield body + _CHECKSUM.pack(_table_seal(shard, number, body))


def is_table_page(shard: Shard, number: int, page: bytes) -> bool:
    """Tell whether this is that page of the table of checksums."""
    body, seal = page[: -_CHECKSUM.size], page[-_CHECKSUM.size :]
    return len(page) == PAGE and seal == _CHECKSUM.pack(_table_seal(shard, number, body))


def checksum_in(page: bytes, place: int) -> int:
    """Return a checksum of those in a page of the table."""
    return int(_CHECKSUM.unpack_from(page, place * _CHECKSUM.size)[0])


def _table_seal(shard: Shard, number: int, body: bytes) -> int:
    return int(crc32c(body, crc32c(f"{shard.file_name}/{number}".encode())))


def trailer(shard: Shard) -> bytes:
    """Return the one page that a shard file of this shard ends with."""
    body = _TRAILER.pack(
        b"S3SHARD1",
        FORMAT_VERSION,
        shard.blob,
        shard.index,
        shard.size,
        BLOCK,
        shard.codec.encode(),
    ).ljust(PAGE - 4, b"\0")
    return body + _CHECKSUM.pack(crc32c(body))


def volume_header(volume: bytes) -> bytes:
    """Return what the volume file of this id begins with."""
    body = _VOLUME.pack(b"S3VOLUME", FORMAT_VERSION, volume)
    return body + _CHECKSUM.pack(crc32c(body))


def record_header(blob: bytes, size: int, checksum: int) -> bytes:
    """Return what stands before the data of a small blob."""
    body = _RECORD.pack(RECORD_MAGIC, blob, size, checksum)
    return body + _CHECKSUM.pack(crc32c(body))


def parse_record_header(header: bytes) -> tuple[bytes, int] | None:
    """Return blob id and size; None where these bytes are no record's header."""
    if len(header) != RECORD_HEADER or header[:4] != RECORD_MAGIC:
        return None
    _, blob, size, checksum = _RECORD.unpack_from(header)
    return (blob, size) if header == record_header(blob, size, checksum) else None


def is_record(found: bytes | bytearray, blob: bytes, size: int, checksum: int) -> bool:
    """Tell whether `found` is the whole record of this blob."""
    return (
        len(found) == RECORD_HEADER + size
        and found.startswith(record_header(blob, size, checksum))
        and crc32c(memoryview(found)[RECORD_HEADER:]) == checksum
    )
