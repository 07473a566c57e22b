"""The rules of a lifecycle configuration: what is valid, what they match, when it is due. Pure.

Source: "Lifecycle configuration elements" and "Managing the lifecycle of objects", Amazon S3 User
Guide. What falls due does so at a midnight (UTC): a time and a number of days are added, and
rounded up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from s3server import errors
from s3server.core import records
from s3server.core.records import BucketRecord, ObjectRecord, UploadRecord
from s3server.core.tags import MAX_OBJECT_TAGS, Tags, check_tags
from s3server.errors import InvalidArgument, InvalidRequest, MalformedXML
from s3server.meta.base import Put, Write

MAX_RULES, MAX_ID_CHARACTERS, MAX_PREFIX_BYTES, MAX_NEWER_VERSIONS = 1_000, 255, 1_024, 100
DAY_MS = 24 * 3_600_000
_FILTERS = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. 0 stands for an action, and -1 for a size, that it does not have."""

    id: str
    is_enabled: bool
    prefix: str = ""
    tags: Tags = ()
    larger_than: int = -1
    smaller_than: int = -1
    days: int = 0
    date_ms: int = 0
    removes_lone_markers: bool = False
    noncurrent_days: int = 0
    newer_versions: int = 0  # noncurrent ones that are kept whatever their age
    abort_days: int = 0

    @property
    def has_content_filter(self) -> bool:
        """Whether it looks at what only objects have: tags and a size."""
        return bool(self.tags) or self.larger_than >= 0 or self.smaller_than >= 0

    def matches(self, key: str, record: ObjectRecord | None) -> bool:
        """Return whether it is about a version; None: about an upload or a delete marker."""
        if not (self.is_enabled and key.startswith(self.prefix)):
            return False
        if record is None or record.is_delete_marker:
            return not self.has_content_filter
        return (
            set(self.tags) <= set(record.tags)
            and (self.larger_than < 0 or record.size > self.larger_than)
            and (self.smaller_than < 0 or record.size < self.smaller_than)
        )


@dataclass(frozen=True, slots=True)
class Due:
    """What a rule will do to one version or upload, and when."""

    action: str  # "Expiration", "ExpiredObjectDeleteMarker", "NoncurrentVersionExpiration"...
    rule: str
    at_ms: int
    version: ObjectRecord | None = None
    upload: UploadRecord | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """How long a day of the rules is; tests have short ones."""

    day_ms: int = DAY_MS

    def midnight(self, time_ms: int) -> int:
        """Return the first midnight that is not before a time."""
        return -(-time_ms // self.day_ms) * self.day_ms

    def after(self, time_ms: int, days: int) -> int:
        """Return the midnight at which something is so many days old."""
        return self.midnight(time_ms + days * self.day_ms)


class Schedule:
    """Tells for one key when which of its versions falls due.

    Feed it the versions from the newest to the oldest; nothing of them is kept.
    """

    def __init__(self, rules: Sequence[Rule], calendar: Calendar, key: str) -> None:
        self._rules, self._calendar, self._key = rules, calendar, key
        self._newer: ObjectRecord | None = None
        self._noncurrent = 0

    def current(self, record: ObjectRecord, *, is_alone: bool) -> Due | None:
        """Return what is due first of the newest version; `is_alone`: there is no other."""
        self._newer = record
        if record.is_delete_marker and not is_alone:
            return None
        return _first(self._of_current(record))

    def _of_current(self, record: ObjectRecord) -> Iterator[Due]:
        action = "ExpiredObjectDeleteMarker" if record.is_delete_marker else "Expiration"
        for rule in self._rules:
            if not rule.matches(self._key, record):
                continue
            if rule.days:
                at_ms = self._calendar.after(record.modified_ms, rule.days)
                yield Due(action, rule.id, at_ms, record)
            if rule.date_ms and not record.is_delete_marker:
                yield Due(action, rule.id, rule.date_ms, record)
            if rule.removes_lone_markers and record.is_delete_marker:
                at_ms = self._calendar.midnight(record.modified_ms)
                yield Due(action, rule.id, at_ms, record)

    def noncurrent(self, record: ObjectRecord) -> Due | None:
        """Return what is due first of the next older version."""
        newer, self._newer = self._newer, record
        kept, self._noncurrent = self._noncurrent, self._noncurrent + 1
        if newer is None:
            raise ValueError("the newest version comes first")
        return _first(
            Due(
                "NoncurrentVersionExpiration",
                rule.id,
                self._calendar.after(newer.modified_ms, rule.noncurrent_days),
                record,
            )
            for rule in self._rules
            if rule.noncurrent_days
            and kept >= rule.newer_versions
            and rule.matches(self._key, record)
        )

    def upload(self, upload: UploadRecord) -> Due | None:
        """Return when an upload in progress is to be aborted."""
        return _first(
            Due(
                "AbortIncompleteMultipartUpload",
                rule.id,
                self._calendar.after(upload.started_ms, rule.abort_days),
                upload=upload,
            )
            for rule in self._rules
            if rule.abort_days and rule.matches(self._key, None)
        )


def _first(dues: Iterator[Due]) -> Due | None:
    return min(dues, key=lambda due: due.at_ms, default=None)


def parse_rules(document: Mapping[str, Any]) -> list[Rule]:
    """Return the rules of a configuration in boto3's shape.

    Raises MalformedXML, InvalidArgument, InvalidRequest, InvalidTag, and NotImplemented for
    transitions. The document gets an ID for each rule that has none.
    """
    rules = document["Rules"]
    if not 1 <= len(rules) <= MAX_RULES:
        raise MalformedXML
    for number, rule in enumerate(rules):
        if not rule.get("ID"):
            rule["ID"] = hashlib.sha256(f"{number} {rule}".encode()).hexdigest()[:32]
    parsed = [_rule(rule) for rule in rules]
    if len({rule.id for rule in parsed}) < len(parsed):
        raise InvalidArgument(
            "Rule ID must be unique. Found same ID for more than one rule", ArgumentName="ID"
        )
    return parsed


def _rule(rule: Mapping[str, Any]) -> Rule:
    if len(rule["ID"]) > MAX_ID_CHARACTERS:
        raise InvalidArgument(
            f"ID length should not exceed allowed limit of {MAX_ID_CHARACTERS}", ArgumentName="ID"
        )
    for name in ("Transitions", "NoncurrentVersionTransitions"):
        if rule.get(name):
            raise errors.NotImplemented(f"{name} of lifecycle rules are not implemented.")
    filters, actions = _filters(rule), _actions(rule)
    tagged = bool(filters.get("tags"))
    if tagged and (actions.get("abort_days") or actions.get("removes_lone_markers")):
        raise InvalidRequest(
            "AbortIncompleteMultipartUpload and ExpiredObjectDeleteMarker cannot be specified "
            "with tags."
        )
    if not actions:
        raise InvalidRequest("At least one action needs to be specified in a rule")
    return Rule(rule["ID"], rule["Status"] == "Enabled", **filters, **actions)


def _filters(rule: Mapping[str, Any]) -> dict[str, Any]:
    chosen = rule.get("Filter")
    if chosen is None:  # AWS refuses a rule without either; sites have such rules, for all objects
        chosen = {"Prefix": rule["Prefix"]} if "Prefix" in rule else {}
    elif "Prefix" in rule or len(chosen) > 1:
        raise MalformedXML
    both = chosen.get("And")
    if both is not None:
        if len(both) - ("Tags" in both) + len(both.get("Tags", ())) < 2:
            raise MalformedXML
        chosen = both
    tags = [chosen["Tag"]] if "Tag" in chosen else chosen.get("Tags", [])
    prefix = chosen.get("Prefix", "")
    larger, smaller = chosen.get("ObjectSizeGreaterThan", -1), chosen.get("ObjectSizeLessThan", -1)
    if "ObjectSizeGreaterThan" in chosen and larger < 0:
        raise InvalidRequest("'ObjectSizeGreaterThan' should be 0 or greater")
    if "ObjectSizeLessThan" in chosen and smaller < 1:
        raise InvalidRequest("'ObjectSizeLessThan' should be 1 or greater")
    if larger >= 0 and 0 <= smaller <= larger + 1:
        raise InvalidRequest(
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'"
        )
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        raise InvalidRequest(f"The maximum size of a prefix is {MAX_PREFIX_BYTES}.")
    pairs = [(tag["Key"], tag["Value"]) for tag in tags]
    return {
        "prefix": prefix,
        "tags": check_tags(pairs, most=MAX_OBJECT_TAGS),
        "larger_than": larger,
        "smaller_than": smaller,
    }


def _actions(rule: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if (expiration := rule.get("Expiration")) is not None:
        found |= _expiration(expiration)
    if (noncurrent := rule.get("NoncurrentVersionExpiration")) is not None:
        found |= _noncurrent(noncurrent)
    if (abort := rule.get("AbortIncompleteMultipartUpload")) is not None:
        days = abort.get("DaysAfterInitiation")
        found["abort_days"] = _positive(days, "DaysAfterInitiation")
    return found


def _expiration(action: Mapping[str, Any]) -> dict[str, Any]:
    if len(action) != 1:
        raise MalformedXML
    if "Days" in action:
        return {"days": _positive(action["Days"], "Days")}
    if "Date" in action:
        return {"date_ms": _midnight(action["Date"])}
    return {"removes_lone_markers": action["ExpiredObjectDeleteMarker"]}


def _noncurrent(action: Mapping[str, Any]) -> dict[str, Any]:
    days = _positive(action.get("NoncurrentDays"), "NoncurrentDays")
    newer = action.get("NewerNoncurrentVersions")
    if newer is None:
        return {"noncurrent_days": days}
    newer = _positive(newer, "NewerNoncurrentVersions", most=MAX_NEWER_VERSIONS)
    return {"noncurrent_days": days, "newer_versions": newer}


def _positive(value: int | None, name: str, *, most: int = 2**31 - 1) -> int:
    if value is None:
        raise MalformedXML
    if not 1 <= value <= most:
        raise InvalidArgument(
            f"'{name}' must be between 1 and {most}", ArgumentName=name, ArgumentValue=str(value)
        )
    return value


def _midnight(date: datetime) -> int:
    milliseconds = round(date.timestamp() * 1000)
    if milliseconds % DAY_MS:
        raise InvalidArgument(
            "'Date' must be at midnight GMT", ArgumentName="Date", ArgumentValue=date.isoformat()
        )
    return milliseconds


def look_at(bucket: BucketRecord, key: str, at_ms: int, token: str) -> Write:
    """Return the row of the index; the token makes it differ from every earlier one."""
    value = bucket.name.encode() + b"\0" + token.encode()
    return Put(records.lifecycle_key(at_ms, bucket.id, key), value)
