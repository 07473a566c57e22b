"""The policy document of a form upload: what it says, and whether a form keeps to it. Pure.

Source: "Creating an HTML form" and "POST policy" of "Browser-based uploads using POST", Amazon S3
API reference. What a policy does not mention a form may not have: every field needs a condition.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from s3server.errors import AccessDenied, InvalidPolicyDocument

MAX_SIZE_BYTES = 5 * 1024**3  # of what one POST can upload
# Fields that need no condition: they carry the policy, prove it, or are the file.
_FREE = frozenset({"policy", "signature", "x-amz-signature", "awsaccesskeyid", "file"})
_IGNORED_PREFIX = "x-ignore-"
_LISTS = frozenset({"content-type"})  # starts-with holds for each of several values


class Condition(msgspec.Struct, frozen=True):
    """One demand on a field."""

    operator: str  # "eq" or "starts-with"
    field: str  # in lower case
    value: str

    def holds(self, actual: str | None) -> bool:
        """Return whether a field's value meets the demand; a missing field meets none."""
        if actual is None:
            return False
        if self.operator == "eq":
            return actual == self.value
        values = actual.split(",") if self.field in _LISTS else [actual]
        return all(value.strip().startswith(self.value) for value in values)

    def __str__(self) -> str:
        return json.dumps([self.operator, f"${self.field}", self.value])


class PostPolicy(msgspec.Struct, frozen=True):
    """What a policy document allows."""

    expires: float  # POSIX time
    conditions: tuple[Condition, ...]
    min_bytes: int = 0
    max_bytes: int = MAX_SIZE_BYTES

    def check(self, fields: Mapping[str, str], *, bucket: str, now: float) -> None:
        """Raise AccessDenied unless the form keeps to the policy, all but its size.

        `fields` have names in lower case. The bucket is that of the URL, whatever a field says;
        the policy must name it, as AWS has it.
        """
        if now >= self.expires:
            raise AccessDenied("Invalid according to Policy: Policy expired.")
        known = set(_FREE)
        for condition in self.conditions:
            actual = bucket if condition.field == "bucket" else fields.get(condition.field)
            if not condition.holds(actual):
                raise AccessDenied(
                    f"Invalid according to Policy: Policy Condition failed: {condition}"
                )
            known.add(condition.field)
        # A policy that names no bucket would be good for all that its signer may write to.
        sent = {*fields, "bucket"}
        extra = [name for name in sent if name not in known and not _is_ignored(name)]
        if extra:
            raise AccessDenied(
                f"Invalid according to Policy: Extra input fields: {', '.join(sorted(extra))}"
            )


def _is_ignored(name: str) -> bool:
    return name.startswith(_IGNORED_PREFIX)


def read_post_policy(encoded: str) -> PostPolicy:
    """Read a policy as the form has it, in base64. Raises InvalidPolicyDocument."""
    document = _read_json(encoded)
    if "expiration" not in document:
        raise InvalidPolicyDocument("Invalid Policy: Policy missing expiration.")
    if "conditions" not in document:
        raise InvalidPolicyDocument("Invalid Policy: Policy missing conditions.")
    if document.keys() != {"expiration", "conditions"}:
        raise InvalidPolicyDocument("Invalid Policy: Unexpected element.")
    expiration, items = document["expiration"], document["conditions"]
    expires = _moment(expiration)
    if expires is None:
        raise InvalidPolicyDocument("Invalid Policy: Invalid 'expiration' value.")
    if not isinstance(items, list):
        raise InvalidPolicyDocument("Invalid Policy: Invalid 'conditions' value.")
    conditions: list[Condition] = []
    low, high = 0, MAX_SIZE_BYTES
    for item in items:
        if isinstance(item, list) and item[:1] == ["content-length-range"]:
            least, most = _read_range(item)
            low, high = max(low, least), min(high, most)
        else:
            conditions += _read_condition(item)
    return PostPolicy(expires, tuple(conditions), low, high)


def _read_json(encoded: str) -> dict[str, Any]:
    try:
        text = b64decode("".join(encoded.split()), validate=True).decode("utf-8")
        document = json.loads(text, object_pairs_hook=_object)
    except (Base64Error, ValueError, RecursionError):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name was given twice")
    return document


def _moment(text: object) -> float | None:
    """Return the POSIX time of "2026-12-30T12:00:00.000Z"; None for what is none, in UTC."""
    if not isinstance(text, str) or not text.endswith("Z") or "T" not in text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _read_condition(item: object) -> list[Condition]:
    """Read {"acl": "private"}, ["eq", "$acl", "private"] or ["starts-with", "$key", "user/"]."""
    if isinstance(item, dict) and len(item) == 1:
        ((name, value),) = item.items()
        if isinstance(value, str):
            return [Condition("eq", name.lower(), value)]
    if isinstance(item, list) and len(item) == 3 and all(isinstance(one, str) for one in item):
        operator, name, value = item
        if operator.lower() in {"eq", "starts-with"} and name.startswith("$"):
            return [Condition(operator.lower(), name[1:].lower(), value)]
    raise InvalidPolicyDocument("Invalid Policy: Invalid Simple-Condition.")


def _read_range(item: list[Any]) -> tuple[int, int]:
    """Read ["content-length-range", 1, 1000]; clients also write the numbers as text."""
    if len(item) == 3:
        bounds = [int(one) for one in item[1:] if _is_count(one)]
        if len(bounds) == 2 and bounds[0] <= bounds[1]:
            return bounds[0], bounds[1]
    raise InvalidPolicyDocument("Invalid Policy: Invalid content-length-range.")


def _is_count(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.isdigit() and len(value) < 20
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
