"""What the rows of a store hold, by their tables: for whoever has to understand all of them.

A table that is not here is not known: tests/unit/test_stored_rows.py holds this against the letters
that `core` gives out, so that none is forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from s3server.cluster.changes import StagedRecord
from s3server.cluster.map_record import MAP_KEY, OSD_PREFIX, STAGED_KEY, MapRecord, OsdRecord
from s3server.core import identity_records as identities
from s3server.core import project_records as projects
from s3server.core import records, upkeep_records
from s3server.core.inventory import InventoryRecord
from s3server.core.records import Record, decode, store_key
from s3server.core.usage_records import (
    FOLDED,
    SAMPLED,
    USAGE,
    FoldedRecord,
    SampledRecord,
    UsageRecord,
)
from s3server.jobs.board import JOB_PREFIX, JobRecord
from s3server.jobs.scan import ScanRecord
from s3server.jobs.scrub import ScrubRecord
from s3server.jobs.set_aside import PREFIX as SET_ASIDE
from s3server.meta.base import CorruptRecordError, add_to_counter

NO_PART = b"\0\0"  # the number under which an upload's revision is counted

RECORDS: Mapping[bytes, type[Record]] = {
    records.BUCKET: records.BucketRecord,
    records.OBJECT: records.ObjectRecord,
    records.VERSION: records.ObjectRecord,
    records.UPLOAD: records.UploadRecord,
    records.PART: records.PartRecord,
    records.BLOB: records.BlobRecord,
    records.GARBAGE: records.GarbageRecord,
    records.REPAIR: records.RepairRecord,
    records.EVENT: records.EventRecord,
    records.TOPIC: records.TopicRecord,
    records.BUCKET_POLICY: records.PolicyRecord,
    records.ACCOUNT_BLOCK: records.AccountBlockRecord,
    records.CONFIGURATION: records.ConfigurationRecord,
    records.USER: records.UserRecord,
    records.ACCESS_KEY: records.AccessKeyRecord,
    identities.ROLE: identities.RoleRecord,
    identities.GROUP: identities.GroupRecord,
    identities.MANAGED_POLICY: identities.ManagedPolicyRecord,
    identities.POLICY_VERSION: records.PolicyRecord,
    identities.INLINE_POLICY: records.PolicyRecord,
    identities.LAST_USED: identities.LastUsedRecord,
    projects.PROJECT: projects.ProjectRecord,
    projects.QUOTA: projects.QuotaRecord,
    USAGE: UsageRecord,
}

_is_id = re.compile(rb"[0-9a-f]{64}").fullmatch
_is_project_id = re.compile(rb"[0-9]{12}").fullmatch
_is_index = re.compile(rb"[a-z0-9.-]{3,63}\0[!-~]*").fullmatch


def _has(size: int) -> Callable[[bytes], bool]:
    return lambda value: len(value) == size


# Rows that are no records: marks, names, counters and positions.
PLAIN: Mapping[bytes, Callable[[bytes], object]] = {
    records.BUCKET_OF: _has(0),
    records.KEY_OF: _has(0),
    identities.MEMBER: _has(0),
    identities.ATTACHED: _has(0),
    records.USER_NAME: _is_id,
    identities.ROLE_NAME: _is_id,
    identities.GROUP_NAME: _is_id,
    projects.PROJECT_NAME: _is_project_id,
    records.NULL_VERSION: _has(8),
    records.COUNTER: _has(8),
    projects.TALLY: _has(8),
    records.LIFECYCLE: _is_index,
}

# What the whole store agrees on, by how the keys begin; None: a text without checksum.
_OF_STORE: tuple[tuple[bytes, type[Record] | None], ...] = (
    (STAGED_KEY, StagedRecord),
    (MAP_KEY, MapRecord),
    (OSD_PREFIX, OsdRecord),
    (upkeep_records.osd_down_key(), upkeep_records.DownRecord),
    (upkeep_records.hold_key(b""), upkeep_records.HoldRecord),
    (store_key("topic-status/"), upkeep_records.TopicStatusRecord),
    (store_key("lifecycle"), upkeep_records.LifecycleReport),
    (store_key("lease/"), upkeep_records.LeaseRecord),
    (store_key("inventory/"), InventoryRecord),
    (store_key("scrub/"), ScrubRecord),
    (store_key("scan"), ScanRecord),
    (JOB_PREFIX, JobRecord),
    (SET_ASIDE, records.GarbageRecord),
    (SAMPLED, SampledRecord),
    (FOLDED, FoldedRecord),
    (projects.announced_key(""), None),
    (store_key("cluster"), None),
)


def read_row(key: bytes, value: bytes) -> Record | None:
    """Return the record of a row, or None where it holds none.

    Raises CorruptRecordError where it is not what its table holds, or of no table.
    """
    table = key[:1]
    if table == records.STORE:
        return _read_of_store(key, value)
    if table in RECORDS and (table, key[17:]) != (records.PART, NO_PART):
        return decode(RECORDS[table], value)
    fits = _has(8) if table == records.PART else PLAIN.get(table)
    if fits is None:
        raise CorruptRecordError(f"there is no table {table!r}")
    if not fits(value):
        raise CorruptRecordError(f"{value!r} is nothing that table {table!r} holds")
    return None


def _read_of_store(key: bytes, value: bytes) -> Record | None:
    if key == projects.QUOTAS_CHANGED:
        add_to_counter(value, 0)
        return None
    for start, kind in _OF_STORE:
        if key.startswith(start):
            return None if kind is None else decode(kind, value)
    raise CorruptRecordError("the store agrees on nothing of this name")
