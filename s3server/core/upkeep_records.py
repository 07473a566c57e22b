"""Stored records of background work and of what it watches, and their keys; see `records`."""

from __future__ import annotations

from s3server.core.records import Record, store_key


class DownRecord(Record, frozen=True, array_like=True, kw_only=True):
    """An OSD that takes no new shards, as some process found it failing."""

    osd: int
    since_ms: int
    reason: str
    is_silent: bool = False  # it does not answer: nobody calls it


class HoldRecord(Record, frozen=True, array_like=True, kw_only=True):
    """What long downloads of one process hold back from collection, and until when."""

    blobs: tuple[bytes, ...]  # the last part of each composite blob
    until_ms: int


class TopicStatusRecord(Record, frozen=True, array_like=True, kw_only=True):
    """How publishing to a topic goes, as its operator sees it."""

    failing_since_ms: int = 0  # 0: the last attempt went well
    attempts: int = 0  # that failed in a row
    error: str = ""  # of the last one
    published_ms: int = 0


class LifecycleReport(Record, frozen=True, array_like=True, kw_only=True):
    """What the lifecycle job did in its last run: since the last midnight of its calendar."""

    since_ms: int
    until_ms: int = 0
    keys: int = 0  # looked at
    expired: int = 0  # current versions
    markers: int = 0  # delete markers under which nothing was left
    noncurrent: int = 0
    uploads: int = 0
    locked: int = 0  # due, but locked


class LeaseRecord(Record, frozen=True, array_like=True, kw_only=True):
    """Who does some background work at present, and until when nobody else may."""

    holder: bytes
    until_ms: int


def osd_down_key(osd: int | None = None) -> bytes:
    """Return the key of an OSD's row while it is down; the prefix of all where none is named."""
    return store_key("osd-down/" + ("" if osd is None else str(osd)))


def hold_key(process: bytes) -> bytes:
    """Return the key of what a process holds; the prefix of all for no bytes."""
    return store_key("hold/") + process
