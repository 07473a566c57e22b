"""S3 Inventory: which fields a list of a bucket's versions has, what they say, where it goes.

Source: "Amazon S3 Inventory list" and "Locating your inventory list", Amazon S3 user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from s3server.core.keys import read_envelope
from s3server.core.lifecycle_rules import Calendar
from s3server.core.records import BucketRecord, ObjectRecord, Record, store_key
from s3server.core.versions import NULL_VERSION

NAME = "inventory"  # of the bucket's document: configurations by their ids
MAX_CONFIGURATIONS = 1_000
VERSION = "2016-11-30"
LONGEST_NAME = 64  # bytes that are added to a folder, at most
is_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch

_ALWAYS, _OF_VERSIONS = ("Bucket", "Key"), ("VersionId", "IsLatest", "IsDeleteMarker")
# Optional ones in the order in which lists have them.
OPTIONAL = (
    "Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded", "ReplicationStatus",
    "EncryptionStatus", "ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus",
    "IntelligentTieringAccessTier", "BucketKeyStatus", "ChecksumAlgorithm", "ObjectOwner",
)  # fmt: skip
_TIMES = frozenset({"LastModifiedDate", "ObjectLockRetainUntilDate"})
_FLAGS = frozenset({"IsLatest", "IsDeleteMarker", "IsMultipartUploaded"})
_CHECKSUM = "Checksum"
_SUNDAY = 3  # days since the first Thursday of 1970, modulo 7

Value = str | int | bool | None  # times in milliseconds since 1970


class File(msgspec.Struct, frozen=True, array_like=True):
    """A data file that is stored."""

    key: str
    size: int
    md5: str  # hexadecimal


class InventoryRecord(Record, frozen=True, array_like=True, kw_only=True):
    """One configuration's schedule, the list in the making, and the last one."""

    bucket: str
    config: str
    next_ms: int  # when the next list is due
    run_ms: int = 0  # when the list in the making was begun; 0: there is none
    digest: bytes = b""  # of the configuration that it is made by
    key: str = ""  # where it goes on: after this version
    sequence: int = 0
    rows: int = 0
    files: tuple[File, ...] = ()
    last_ms: int = 0  # when the last one was begun
    last_rows: int = 0
    manifest: str = ""  # "s3://..." of the last one
    error: str = ""  # why the last attempt ended without one
    has_all: bool = False  # files: what is left is the manifest


def fields_of(configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields of a configuration's lists, in their order."""
    wanted = set(configuration.get("OptionalFields") or ())
    versions = _OF_VERSIONS if configuration["IncludedObjectVersions"] == "All" else ()
    return (*_ALWAYS, *versions, *(field for field in OPTIONAL if field in wanted))


def kind_of(field: str) -> str:
    """Return "time", "flag", "number" or "text"."""
    if field in _TIMES:
        return "time"
    return "flag" if field in _FLAGS else "number" if field == "Size" else "text"


def row_of(
    bucket: BucketRecord, key: str, record: ObjectRecord, *, is_latest: bool
) -> dict[str, Value]:
    """Return all that lists can say of a version; delete markers have no content to speak of."""
    row: dict[str, Value] = {
        "Bucket": bucket.name,
        "Key": key,
        "VersionId": record.version_id or (NULL_VERSION if bucket.versioning else None),
        "IsLatest": is_latest,
        "IsDeleteMarker": record.is_delete_marker,
        "LastModifiedDate": record.modified_ms,
        "ObjectOwner": record.owner,
    }
    return row if record.is_delete_marker else row | _content(record)


def _content(record: ObjectRecord) -> dict[str, Value]:
    named = [name.removeprefix(_CHECKSUM) for name, _ in record.checksums]
    return {
        "Size": record.size,
        "ETag": record.etag,
        "StorageClass": record.storage_class,
        "IsMultipartUploaded": record.part_count > 0,
        "EncryptionStatus": _encryption(record.encryption),
        "ObjectLockRetainUntilDate": record.retain_until_ms or None,
        "ObjectLockMode": record.retention_mode or None,
        "ObjectLockLegalHoldStatus": "On" if record.legal_hold == "ON" else "Off",
        "BucketKeyStatus": "DISABLED",
        "ChecksumAlgorithm": next((name for name in named if name != "Adler32"), None),
    }


def _encryption(stored: bytes) -> str:
    if not stored:
        return "NOT-SSE"
    return "SSE-C" if read_envelope(stored).is_customers else "SSE-S3"


def digest_of(configuration: Mapping[str, Any]) -> bytes:
    """Return what tells a configuration from another one."""
    return sha256(msgspec.json.encode(configuration, order="deterministic")).digest()[:16]


def folder(configuration: Mapping[str, Any], bucket: str) -> str:
    """Return what the keys of all lists of a configuration begin with."""
    prefix = configuration["Destination"]["S3BucketDestination"].get("Prefix") or ""
    return f"{prefix.rstrip('/')}/{bucket}/{configuration['Id']}".lstrip("/")


def data_key(start: str, record: InventoryRecord, ending: str, body: bytes) -> str:
    """Return the key of the next data file: another one for other bytes.

    What a crash lets be made again is the same object where nothing has changed; two runners never
    overwrite what the other's manifest names.
    """
    text = f"{record.bucket} {record.config} {record.run_ms} {len(record.files)} "
    return f"{start}/data/{UUID(bytes=sha256(text.encode() + body).digest()[:16])}.{ending}"


def stamp(at_ms: int, form: str) -> str:
    """Return a time of a list, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(form)


def state_key(bucket: BucketRecord | None, identity: str = "") -> bytes:
    """Return the key of a configuration's state; the prefix of all where no bucket is named."""
    return store_key("inventory/" if bucket is None else f"inventory/{bucket.id.hex()}/{identity}")


def next_due(calendar: Calendar, frequency: str, now_ms: int) -> int:
    """Return the next midnight of a calendar, or of a Saturday to a Sunday where it is weekly."""
    due = calendar.midnight(now_ms + 1)
    while frequency == "Weekly" and due // calendar.day_ms % 7 != _SUNDAY:
        due += calendar.day_ms
    return due
