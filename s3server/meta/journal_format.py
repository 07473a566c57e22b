"""The format of the metadata journal, byte by byte. Integers are big-endian, checksums CRC32C.

`journal/<16 hex>.log` on an OSD is one copy of a segment; all copies are alike, byte by byte, up
to the last committed entry. A segment begins with a header of 512 bytes:

    magic "S3JOURNL", format version u32, cluster (32, padded with zeros), segment number u64,
    base u64, chain u32, salt (16), file size u64, count of copies u16, OSD id u16 of each copy,
    zeros; in the last 4 bytes the checksum of the 508 before

`base` is the commit sequence number that the first entry follows. Entries follow each other
without padding; the rest of the file is allocated but means nothing. An entry is

    magic "JENT", chain u32, before u64, last u64, size u32, checksum of the body u32, seal u32
    body: msgpack array of [key, value]; value nil: the key is deleted

It takes the store from commit `before` to commit `last`. `seal` is the checksum of the salt and
the 32 bytes before it; `chain` is the seal of the entry before, or the header's for the first.
Whoever follows the chain therefore never joins entries of different histories.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from struct import Struct, error, unpack_from

import msgspec
from awscrt.checksums import crc32c

VERSION = 1
HEADER = 512
MAX_COPIES = 32

_HEADER = Struct(">8sI32sQQI16sQH")
_ENTRY = Struct(">4sIQQII")
_SEAL = Struct(">I")
_MAGIC, _ENTRY_MAGIC = b"S3JOURNL", b"JENT"
ENTRY_HEADER = _ENTRY.size + _SEAL.size

Change = tuple[bytes, bytes | None]

encode_body = msgspec.msgpack.Encoder().encode
decode_body = msgspec.msgpack.Decoder(list[Change]).decode


class Segment(msgspec.Struct, frozen=True):
    """What the header of a segment says."""

    cluster: str
    number: int
    base: int
    chain: int
    size: int
    osds: tuple[int, ...]
    salt: bytes = b""

    @property
    def name(self) -> str:
        return f"{self.number:016x}.log"


class End(msgspec.Struct, frozen=True, array_like=True):
    """Where the journal ends: kept in the store, changed by the transaction that is journalled."""

    segment: int
    offset: int  # of the next entry
    size: int  # of the segment's files
    chain: int
    salt: bytes
    osds: tuple[int, ...]


class Entry(msgspec.Struct, frozen=True):
    """One entry as found."""

    before: int
    last: int
    seal: int
    changes: list[Change]
    start: End  # where it lies
    end: End  # where the next entry would be
    pieces: tuple[bytes, bytes]  # header and body, as they lie there


def new_salt() -> bytes:
    """Return 16 random bytes: what a client stores can never look like an entry."""
    return os.urandom(16)


def pack_segment(segment: Segment) -> bytes:
    """Return the header of a segment."""
    body = _HEADER.pack(
        _MAGIC,
        VERSION,
        segment.cluster.encode(),
        segment.number,
        segment.base,
        segment.chain,
        segment.salt,
        segment.size,
        len(segment.osds),
    )
    body += b"".join(osd.to_bytes(2, "big") for osd in segment.osds)
    body = body.ljust(HEADER - _SEAL.size, b"\0")
    return body + _SEAL.pack(crc32c(body))


def parse_segment(header: bytes) -> Segment | None:
    """Return what a header says; None where these bytes are none of this format version."""
    if len(header) != HEADER or crc32c(header[:-4]) != _SEAL.unpack(header[-4:])[0]:
        return None
    magic, version, cluster, number, base, chain, salt, size, count = _HEADER.unpack_from(header)
    if magic != _MAGIC or version != VERSION or count > MAX_COPIES:
        return None
    osds = unpack_from(f">{count}H", header, _HEADER.size)
    name = cluster.rstrip(b"\0").decode("utf-8", "replace")
    return Segment(name, number, base, chain, size, osds, salt)


def begin(segment: Segment) -> End:
    """Return the end of a segment without entries."""
    return End(segment.number, HEADER, segment.size, segment.chain, segment.salt, segment.osds)


def pack_entry(
    end: End, before: int, last: int, changes: Sequence[Change]
) -> tuple[list[bytes], End]:
    """Return an entry to be written at `end`, in pieces, and where the journal ends after it."""
    body = encode_body(changes)
    head = _ENTRY.pack(_ENTRY_MAGIC, end.chain, before, last, len(body), crc32c(body))
    seal = _seal(end.salt, head)
    return [head + _SEAL.pack(seal), body], _after(end, len(body), seal)


def parse_entry_header(header: bytes, end: End, before: int) -> tuple[int, int] | None:
    """Return size and checksum of the body of the entry that follows `end`; None: not there."""
    if len(header) != ENTRY_HEADER or not header.startswith(_ENTRY_MAGIC):
        return None
    _, chain, found, last, size, checksum = _ENTRY.unpack_from(header)
    if (chain, found) != (end.chain, before) or last <= before:
        return None
    if _SEAL.unpack_from(header, _ENTRY.size)[0] != _seal(end.salt, header[: _ENTRY.size]):
        return None
    return size, checksum


def parse_entry(header: bytes, body: bytes, end: End) -> Entry | None:
    """Return the entry whose header parse_entry_header() took; None where its body is damaged."""
    _, _, before, last, size, checksum = _ENTRY.unpack_from(header)
    if len(body) != size or crc32c(body) != checksum:
        return None
    try:
        changes = decode_body(body)
    except (msgspec.MsgspecError, error):
        return None
    seal = _SEAL.unpack_from(header, _ENTRY.size)[0]
    return Entry(before, last, seal, changes, end, _after(end, size, seal), (header, body))


def _after(end: End, size: int, seal: int) -> End:
    return End(end.segment, end.offset + ENTRY_HEADER + size, end.size, seal, end.salt, end.osds)


def _seal(salt: bytes, head: bytes) -> int:
    return int(crc32c(head, crc32c(salt)))


def newest(numbers: Iterable[int]) -> int:
    """Return the highest segment number; 0 where there is none."""
    return max(numbers, default=0)
