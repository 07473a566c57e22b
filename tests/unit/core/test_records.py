"""Stored records: every damage is noticed, older formats are migrated, newer ones refused."""

from __future__ import annotations

import msgspec
import pytest
from awscrt.checksums import crc32c

from s3server.core import records
from s3server.core.records import (
    BlobPart,
    BlobRecord,
    BucketRecord,
    ObjectRecord,
    Record,
    UploadRecord,
    decode,
    encode,
)
from s3server.meta.base import MAX_KEY_BYTES, SEQUENCE_BYTES, CorruptRecordError
from s3server.model import DataRef, ShardPlace

OBJECT = ObjectRecord(
    sequence=7,
    size=3,
    etag="e",
    modified_ms=1_700_000_000_000,
    owner="o",
    blob=b"\0" * 16,
    metadata=(("name", "wert ü"),),
)
REF = DataRef("main", "replica:3", b"b" * 16, 9, 0, (ShardPlace(1, b"v" * 8, 24),), 5)
BLOB = BlobRecord(size=9, uses=2, ref=REF)
COMPOSITE = BlobRecord(size=9, parts=(BlobPart(b"b" * 16, 9, 1, "c"),))
BUCKET = BucketRecord(id=b"i" * 8, name="n", owner="o", account="a", created_ms=1, region="r")
UPLOAD = UploadRecord(id=b"u" * 16, key="k", owner="o", started_ms=1)


class Renamed(Record, frozen=True, array_like=True, kw_only=True):
    """A record whose second format splits what its first, 0, had in one field."""

    VERSION = 2
    first: str
    last: str
    numbers: tuple[tuple[str, bytes], ...] = ()


def stored(version: int, body: bytes) -> bytes:
    content = bytes([version]) + body
    return content + crc32c(content).to_bytes(4, "big")


@pytest.fixture
def migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {
        (Renamed, 0): lambda fields: [fields[0].upper()],
        (Renamed, 1): lambda fields: [*fields[0].split(" "), [["n", b"\xff"]]],
    }
    monkeypatch.setattr(records, "MIGRATIONS", steps)


@pytest.mark.parametrize("record", [OBJECT, BLOB, COMPOSITE, BUCKET, UPLOAD])
def test_record_survives_being_stored(record: Record) -> None:
    assert record == decode(type(record), encode(record))


@pytest.mark.parametrize("record", [OBJECT, BLOB, COMPOSITE])
def test_any_flipped_bit_is_noticed(record: Record) -> None:
    value = encode(record)
    for at in range(len(value)):
        for bit in range(8):
            damaged = bytearray(value)
            damaged[at] ^= 1 << bit
            with pytest.raises(CorruptRecordError):
                decode(type(record), bytes(damaged))


def test_any_missing_end_is_noticed() -> None:
    value = encode(OBJECT)
    for length in range(len(value)):
        with pytest.raises(CorruptRecordError):
            decode(ObjectRecord, value[:length])


def test_old_format_is_migrated_step_by_step(migrations: None) -> None:
    old = stored(0, msgspec.msgpack.encode(["ada lovelace"]))
    expected = Renamed(first="ADA", last="LOVELACE", numbers=(("n", b"\xff"),))
    assert expected == decode(Renamed, old)
    assert expected == decode(Renamed, encode(expected))


def test_newer_format_is_refused(migrations: None) -> None:
    with pytest.raises(CorruptRecordError, match="format 3; this program knows 2"):
        decode(Renamed, stored(3, msgspec.msgpack.encode(["a", "b"])))


def test_old_format_without_a_migration_is_refused() -> None:
    with pytest.raises(CorruptRecordError, match="format 0; this program knows 1"):
        decode(ObjectRecord, stored(0, msgspec.msgpack.encode([])))


@pytest.mark.parametrize("body", [b"", b"\xc1", msgspec.msgpack.encode(["x"]), b"\x90"])
def test_intact_bytes_that_are_no_such_record_are_refused(body: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        decode(ObjectRecord, stored(ObjectRecord.VERSION, body))


def test_fields_added_later_take_their_defaults() -> None:
    short = msgspec.msgpack.encode([b"i" * 8, "n", "o", "a", 1, "r"])
    assert BUCKET == decode(BucketRecord, stored(BucketRecord.VERSION, short))


def test_longest_keys_fit_the_engine() -> None:
    key = "k" * 1_024
    longest = [
        records.object_key(b"i" * 8, key),
        records.upload_key(b"i" * 8, key, b"u" * 16),
        records.version_prefix(b"i" * 8, key) + b"s" * SEQUENCE_BYTES,
        records.user_name_key("a" * 64, "n" * 64),
    ]
    assert [] == [key for key in longest if len(key) > MAX_KEY_BYTES]


def test_tables_begin_with_different_bytes() -> None:
    tables = [
        records.BUCKET, records.BUCKET_OF, records.OBJECT, records.VERSION, records.UPLOAD,
        records.PART, records.BLOB, records.GARBAGE, records.EVENT, records.COUNTER, records.USER,
        records.USER_NAME, records.ACCESS_KEY, records.KEY_OF, records.STORE,
    ]  # fmt: skip
    assert len(tables) == len({table[:1] for table in tables})
