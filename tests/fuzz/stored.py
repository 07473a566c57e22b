"""What lies on disks: records of the metadata, journal, snapshots, volumes and shard files.

Checksums are put right again, so that the parsers behind them meet what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from awscrt.checksums import crc32c

from s3server.core.records import encode
from s3server.data import layout
from s3server.meta import journal_format, snapshot_format
from s3server.meta.base import CorruptRecordError
from s3server.stored_rows import RECORDS, read_row
from tests.support.fuzzing import Target

KEY = 40
SHARD = layout.Shard(b"b" * 16, 1, "replica:3", 200_000)
SEGMENT = journal_format.Segment("cluster", 3, 10, 7, 1 << 20, (0, 1, 2), b"s" * 16)
END = journal_format.begin(SEGMENT)
SNAPSHOT = snapshot_format.Snapshot("cluster", 10, 7, 1_790_000_000_000)
SNAPSHOT_HEADER = snapshot_format.pack_header(SNAPSHOT)


def sealed(body: bytes) -> bytes:
    return body + int(crc32c(body)).to_bytes(4, "big")


def sample(kind: Any) -> Any:
    """Return a value of a type, every field of it given."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        return sample(next(one for one in inner if one is not type(None)))
    if origin is Literal:
        return inner[0]
    if origin is tuple:
        return tuple(sample(one) for one in inner if one is not ...)
    if origin in (dict, Mapping):
        return {sample(inner[0]): sample(inner[1])}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return kind(**{name: sample(hints[name]) for name in kind.__struct_fields__})
    return {int: 300, str: "text", bytes: b"12345678", bool: True, float: 1.5, Any: None}[kind]


def rows() -> Iterator[bytes]:
    """Return a row of each kind that is a record: key, padded, and what the checksum is of."""
    for letter, kind in RECORDS.items():
        yield letter.ljust(KEY, b"\0") + encode(sample(kind))[:-4]


def read_record(data: bytes) -> None:
    read_row(data[:KEY], sealed(data[KEY:]))


def read_damaged_record(data: bytes) -> None:
    read_row(data[:KEY], data[KEY:])


def read_journal(data: bytes) -> None:
    """Read the header of a segment, and an entry."""
    header, entry = data[: journal_format.HEADER], data[journal_format.HEADER :]
    segment = journal_format.parse_segment(sealed(header[:-4]))
    if segment is not None:
        assert journal_format.pack_segment(segment)[:8] == header[:8]
    head, body = entry[: journal_format.ENTRY_HEADER], entry[journal_format.ENTRY_HEADER :]
    if journal_format.parse_entry_header(head, END, 10) is not None:
        journal_format.parse_entry(head, body, END)
    fields = bytearray(ENTRY[0])
    fields[-8:-4] = int(crc32c(body)).to_bytes(4, "big")
    fields[-12:-8] = len(body).to_bytes(4, "big")
    journal_format.parse_entry(bytes(fields), body, END)


def read_snapshot(data: bytes) -> None:
    snapshot_format.parse_header(sealed(data[: snapshot_format.HEADER - 4]))
    body = data[snapshot_format.HEADER :]
    block = snapshot_format.BlockHeader(False, 1, len(body), crc32c(body))
    snapshot_format.parse_rows(block, body)
    snapshot_format.parse_count(block, body)
    snapshot_format.parse_block_header(SNAPSHOT_HEADER, body[: snapshot_format.BLOCK_HEADER], 0)


def read_volume(data: bytes) -> None:
    found = layout.parse_record_header(data[: layout.RECORD_HEADER])
    if found is not None:
        layout.is_record(data, *found, 0)
    layout.is_record(data, b"b" * 16, 7, crc32c(b"content"))


def read_table(data: bytes) -> None:
    if layout.is_table_page(SHARD, 0, data):
        assert layout.checksum_in(data, 0) == 1


ENTRY = journal_format.pack_entry(END, 10, 12, [(b"key", b"value"), (b"gone", None)])[0]
BLOCK = snapshot_format.pack_block(SNAPSHOT_HEADER, 0, [(b"key", b"value")])
VOLUME = layout.record_header(b"b" * 16, 7, crc32c(b"content")) + b"content"
ROW = next(rows())
_CORRUPT = (CorruptRecordError,)

TARGETS = (
    Target("records", tuple(rows()), read_record, _CORRUPT, 20_000, binary=True),
    Target(
        "damaged records", (ROW[:KEY] + sealed(ROW[KEY:]),), read_damaged_record, _CORRUPT, 8_000,
        binary=True,
    ),
    Target(
        "journal", (journal_format.pack_segment(SEGMENT) + b"".join(ENTRY),), read_journal, (),
        3_000, binary=True,
    ),
    Target("snapshots", (SNAPSHOT_HEADER + BLOCK,), read_snapshot, (), 3_000, binary=True),
    Target("volumes", (VOLUME,), read_volume, (), 8_000, binary=True),
    Target("tables of shards", tuple(layout.table_pages(SHARD, [1, 2, 3, 4])), read_table, (),
           2_000, binary=True),
)  # fmt: skip
