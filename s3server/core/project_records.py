"""Records of projects and their keys; `records.py` says how they become bytes.

Y id            project
Z name          its id
"""

from __future__ import annotations

from s3server.core.records import Record

PROJECT, PROJECT_NAME = b"Y", b"Z"


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


def project_key(project_id: str) -> bytes:
    return PROJECT + project_id.encode()


def project_name_key(name: str) -> bytes:
    return PROJECT_NAME + name.encode()
