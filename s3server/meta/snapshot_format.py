"""The format of snapshots, byte by byte. Integers are big-endian, checksums CRC32C.

`journal/<16 hex: commit sequence>.snap` on an OSD is one copy of all rows of the store as they were
after that commit; all copies are alike. It begins with a header of 512 bytes:

    magic "S3SNAPSH", format version u32, cluster (32, padded with zeros), sequence u64, chain u32,
    time taken u64 (ms since 1970), zeros; in the last 4 bytes the checksum of the 508 before

`chain` is the seal of the journal's entry that ends with this commit (journal_format.py): what
follows in the journal begins there. Then come blocks, one after the other:

    magic "ROWS", number u32 (from 0), rows u32, size u32, checksum of the body u32, seal u32
    body: msgpack array of [key, value], in the order of the keys of all blocks

`seal` is the checksum of the file's header and the 20 bytes before it. The last block has the magic
"ENDS", no rows, and the count of all rows in its body, u64: a file without it is not whole.
"""

from __future__ import annotations

from struct import Struct

import msgspec
from awscrt.checksums import crc32c

from s3server.meta.base import Row

VERSION = 1
HEADER = 512
BLOCK_BYTES = 1 << 20  # of keys and values, after which a block ends

_HEADER = Struct(">8sI32sQIQ")
_BLOCK = Struct(">4sIIII")
_SEAL = Struct(">I")
_COUNT = Struct(">Q")
_MAGIC, _ROWS, _END = b"S3SNAPSH", b"ROWS", b"ENDS"
BLOCK_HEADER = _BLOCK.size + _SEAL.size

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


class Snapshot(msgspec.Struct, frozen=True):
    """What the header of a snapshot says."""

    cluster: str
    sequence: int
    chain: int
    taken_ms: int

    @property
    def name(self) -> str:
        return f"{self.sequence:016x}.snap"


class BlockHeader(msgspec.Struct, frozen=True):
    """What stands before the body of a block; `is_last` where it is the count of rows."""

    is_last: bool
    rows: int
    size: int
    checksum: int


def pack_header(snapshot: Snapshot) -> bytes:
    """Return what the file begins with."""
    body = _HEADER.pack(
        _MAGIC,
        VERSION,
        snapshot.cluster.encode(),
        snapshot.sequence,
        snapshot.chain,
        snapshot.taken_ms,
    ).ljust(HEADER - _SEAL.size, b"\0")
    return body + _SEAL.pack(crc32c(body))


def parse_header(header: bytes) -> Snapshot | None:
    """Return what a header says; None where these bytes are none of this format version."""
    if len(header) != HEADER or crc32c(header[:-4]) != _SEAL.unpack(header[-4:])[0]:
        return None
    magic, version, cluster, sequence, chain, taken_ms = _HEADER.unpack_from(header)
    if magic != _MAGIC or version != VERSION:
        return None
    name = cluster.rstrip(b"\0").decode("utf-8", "replace")
    return Snapshot(name, sequence, chain, taken_ms)


def pack_block(header: bytes, number: int, rows: list[Row]) -> bytes:
    """Return a block of a file with this header."""
    return _pack(header, _ROWS, number, len(rows), _encode(rows))


def pack_end(header: bytes, number: int, count: int) -> bytes:
    """Return the last block; `count` rows came before it."""
    return _pack(header, _END, number, 0, _COUNT.pack(count))


def _pack(header: bytes, magic: bytes, number: int, rows: int, body: bytes) -> bytes:
    head = _BLOCK.pack(magic, number, rows, len(body), crc32c(body))
    return head + _SEAL.pack(crc32c(head, crc32c(header))) + body


def parse_block_header(header: bytes, found: bytes, number: int) -> BlockHeader | None:
    """Return what a block's header says; None where it is not that of this block of this file."""
    if len(found) != BLOCK_HEADER:
        return None
    magic, at, rows, size, checksum = _BLOCK.unpack_from(found)
    seal = _SEAL.unpack_from(found, _BLOCK.size)[0]
    if seal != crc32c(found[: _BLOCK.size], crc32c(header)) or at != number:
        return None
    return BlockHeader(magic == _END, rows, size, checksum) if magic in (_ROWS, _END) else None


def parse_rows(block: BlockHeader, body: bytes) -> list[Row] | None:
    """Return the rows of a block; None where its body is damaged."""
    if len(body) != block.size or crc32c(body) != block.checksum:
        return None
    try:
        rows = _decode(body)
    except msgspec.MsgspecError:
        return None
    return rows if len(rows) == block.rows else None


def parse_count(block: BlockHeader, body: bytes) -> int | None:
    """Return what the last block says; None where it is damaged."""
    if len(body) != _COUNT.size or crc32c(body) != block.checksum:
        return None
    count: int = _COUNT.unpack(body)[0]
    return count
