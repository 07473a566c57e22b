"""Object lock: what keeps a version from being removed, and how that may be changed. Pure.

Source: "Locking objects with Object Lock", Amazon S3 User Guide. A mode that is not known counts
as COMPLIANCE, the strictest.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3server.core.records import BucketRecord, ObjectRecord
from s3server.errors import AccessDenied

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MAX_DAYS, MAX_YEARS = 36_500, 100
DAY_MS = 24 * 3_600_000
_DAYS_PER_YEAR = 365
_LOCKED = "Access Denied because object protected by object lock."


@dataclass(frozen=True, slots=True)
class Retention:
    """Until when a version is kept, and how strictly; without mode it is not."""

    mode: str = ""
    until_ms: int = 0


NOT_RETAINED = Retention()


def check_removable(record: ObjectRecord, now_ms: int, *, bypass: bool) -> None:
    """Raise AccessDenied where a version must stay. `bypass` lifts governance, nothing else."""
    if record.legal_hold == "ON":
        raise AccessDenied(_LOCKED)
    _check_retention(retention_of(record), now_ms, bypass=bypass)


def check_retention_change(
    record: ObjectRecord, wanted: Retention, now_ms: int, *, bypass: bool
) -> None:
    """Raise AccessDenied where a retention may not be replaced by another.

    What is in force may be extended in its mode; governance may be changed otherwise with
    `bypass`, compliance by nobody.
    """
    held = retention_of(record)
    if wanted.mode != held.mode or wanted.until_ms < held.until_ms:
        _check_retention(held, now_ms, bypass=bypass)


def _check_retention(held: Retention, now_ms: int, *, bypass: bool) -> None:
    is_held = held.mode != "" and held.until_ms > now_ms
    if is_held and not (bypass and held.mode == GOVERNANCE):
        raise AccessDenied(_LOCKED)


def retention_of(record: ObjectRecord) -> Retention:
    """Return a version's retention."""
    return Retention(record.retention_mode, record.retain_until_ms)


def default_retention(bucket: BucketRecord, now_ms: int) -> Retention:
    """Return the retention of a new version that brings none of its own."""
    if not (bucket.object_lock and bucket.lock_mode):
        return NOT_RETAINED
    days = bucket.lock_days + bucket.lock_years * _DAYS_PER_YEAR
    return Retention(bucket.lock_mode, now_ms + days * DAY_MS)
