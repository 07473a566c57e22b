"""Records of what was used, day by day, and how far it has been counted.

u kind name day     what a project (P), a user (U) or a bucket (B, its name after its project's
                    id and a space) used on a day: 20261126
S usage/sampled     up to which hour what is held has been counted
S usage/file/name   up to where a file of traffic has been folded
"""

from __future__ import annotations

from typing import Literal

from s3server.core.records import Record, store_key
from s3server.meta.base import Range

USAGE = b"u"
SAMPLED = store_key("usage/sampled")
FOLDED = store_key("usage/file/")
HOUR_MS = 3_600_000

Kind = Literal["P", "U", "B"]


class UsageRecord(Record, frozen=True, array_like=True, kw_only=True):
    """What was used on one day. Byte-hours: what was held at each full hour, added up."""

    hours: int = 0  # that were counted
    live_byte_hours: int = 0
    old_byte_hours: int = 0  # of older versions
    part_byte_hours: int = 0  # of uploads in progress
    objects: int = 0  # at the last full hour, with older versions
    bytes: int = 0  # of all three kinds, at the last full hour
    requests: int = 0
    received: int = 0  # bytes of bodies
    sent: int = 0

    @property
    def byte_hours(self) -> int:
        return self.live_byte_hours + self.old_byte_hours + self.part_byte_hours

    @property
    def tb_days(self) -> float:
        """Terabytes (10^12 bytes) times days that were held."""
        return self.byte_hours / 24e12


class SampledRecord(Record, frozen=True, array_like=True, kw_only=True):
    """How far what is held has been counted. An hour is that since 1970-01-01 UTC."""

    hour: int  # all scopes have been counted up to it
    until: int = 0  # up to which those are being counted that lie up to `after`
    after: bytes = b""


class FoldedRecord(Record, frozen=True, array_like=True, kw_only=True):
    """What has been taken from a file of traffic: the counts of its entries, in their order."""

    counts: tuple[tuple[int, int, int], ...]


def usage_key(kind: Kind, name: str, day: str) -> bytes:
    return USAGE + kind.encode() + name.encode() + b"\0" + day.encode()


def usage_range(kind: Kind, name: str, first: str, last: str) -> Range:
    """Return the range of what one of a kind used from a day to another."""
    return usage_key(kind, name, first), usage_key(kind, name, last) + b"\0"


def parse_usage_key(key: bytes) -> tuple[str, str]:
    """Return name and day of a row."""
    name, _, day = key[2:].rpartition(b"\0")
    return name.decode(), day.decode()


def bucket_name_of(project_id: str, bucket: str) -> str:
    """Return what a bucket is named by in its rows."""
    return f"{project_id} {bucket}"


def folded_key(file: str) -> bytes:
    return FOLDED + file.encode()
