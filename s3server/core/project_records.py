"""Records of projects and their keys; `records.py` says how they become bytes.

    j id                project
    z name              its id
    n P id NUL name     counters of a project
    n U id NUL name     counters of what a user owns
    q scope             quota

A *scope* is what things are counted in: a bucket, a project, a user. It is written as the prefix of
its counters' keys.
"""

from __future__ import annotations

from s3server.core.records import Record, counter_key, store_key

PROJECT, PROJECT_NAME = b"j", b"z"
TALLY, QUOTA = b"n", b"q"

# What a quota of bytes, and one of objects, is on. An upload in progress counts as one object, so
# that completing it needs no more than it has.
COUNTED_BYTES = ("bytes", "old-bytes", "part-bytes")
COUNTED_OBJECTS = ("objects", "old", "markers", "uploads")
# A counter of changes: what is remembered of quotas is of one value of it.
QUOTAS_CHANGED = store_key("quotas-changed")
BUCKETS, WAITING = "buckets", "waiting"  # counted of projects; buckets of users too
PASSED = ("requests", "received", "sent")  # counted of projects, since their beginning


class ProjectRecord(Record, frozen=True, array_like=True, kw_only=True):
    """One project, which is an account: users and buckets belong to it for a limited time."""

    id: str  # 12 decimal digits, as AWS's account ids; it stands in ARNs
    name: str
    created_ms: int
    owner: str = ""  # who answers for it, as people know them
    start_ms: int = 0  # nothing works before
    end_ms: int = 0  # read-only from then on; 0: never
    notice_ms: int = 0  # before the end, that it is announced
    grace_ms: int = 0  # from the end until nothing works any more
    is_disabled: bool = False  # by an operator, whatever the dates say
    is_deleting: bool = False  # with all that is in it, by and by
    requests_per_s: float = 0.0  # 0: any number
    bytes_per_s: float = 0.0  # of bodies, received and sent


class QuotaRecord(Record, frozen=True, array_like=True, kw_only=True):
    """How much a bucket, a project or a user may hold; None: no limit."""

    bytes: int | None = None  # of all versions, and of parts of uploads in progress
    objects: int | None = None  # versions, delete markers, uploads in progress
    buckets: int | None = None  # of a project or a user


def project_key(project_id: str) -> bytes:
    return PROJECT + project_id.encode()


def announced_key(project_id: str) -> bytes:
    """Return the key of the state that was announced last; the prefix of all for no id."""
    return store_key(f"project-state/{project_id}")


def project_name_key(name: str) -> bytes:
    return PROJECT_NAME + name.encode()


def bucket_scope(bucket_id: bytes) -> bytes:
    return counter_key(bucket_id, "")


def project_scope(project_id: str) -> bytes:
    return TALLY + b"P" + project_id.encode() + b"\0"


def user_scope(user_id: str) -> bytes:
    return TALLY + b"U" + user_id.encode() + b"\0"


def quota_key(scope: bytes) -> bytes:
    return QUOTA + scope
