"""How a request is written down to be signed: percent-encoding, header values, query, time.

The rules are those of "Create a signed AWS API request" (AWS IAM User Guide) with S3's
exceptions: the path is neither normalised nor encoded twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

Pairs = list[tuple[str, str]]

# One character class under one quantifier: linear in the length of the input.
_plain_path = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch
_plain_query = re.compile(r"[A-Za-z0-9\-._~=&]*").fullmatch


def encode(text: bytes) -> str:
    """Percent-encode everything but RFC 3986's unreserved characters."""
    return quote(text, safe="-_.~")


def canonical_path(raw_path: str) -> str:
    """Return the path as it is signed: each byte encoded once, "/" kept, nothing normalised."""
    if _plain_path(raw_path):
        return raw_path or "/"
    return quote(unquote_to_bytes(raw_path), safe="/-_.~")


def query_pairs(query: str) -> Pairs:
    """Split a raw query into decoded names and values, in their order.

    Bytes that are not UTF-8 are kept as latin-1 characters are: the result is only compared
    and looked up, never stored. "+" is a space, as in every form that S3 decodes.
    """
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def canonical_query(query: str, *, without: str = "") -> str:
    """Return the query as it is signed: encoded once, sorted by name, then by value.

    `without` is the name of the one parameter that is left out: the signature itself.
    """
    if not query:
        return ""
    is_plain = _plain_query(query) is not None
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if not is_plain:
            name, value = _recode(name), _recode(value)
        if name.lower() != without:
            pairs.append((name, value))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def trimmed(value: str) -> str:
    """Return a header value without surrounding blanks and with runs of blanks as one space.

    Only space and tab are blank: str.split() would also eat bytes of UTF-8 text (0x85, 0xa0).
    """
    if "\t" in value:
        value = value.replace("\t", " ")
    value = value.strip(" ")
    if "  " in value:
        value = " ".join([word for word in value.split(" ") if word])
    return value


@lru_cache(maxsize=1024)
def basic_time(text: str) -> float | None:
    """Return the POSIX time of "yyyyMMddTHHmmssZ"; None where it is no such time."""
    digits = text[:8] + text[9:15]
    if len(text) != 16 or text[8] != "T" or text[15] != "Z" or not _is_number(digits):
        return None
    try:
        return datetime(
            int(text[:4]), int(text[4:6]), int(text[6:8]),
            int(text[9:11]), int(text[11:13]), int(text[13:15]), tzinfo=UTC,
        ).timestamp()  # fmt: skip
    except ValueError:
        return None


def any_time(text: str) -> float | None:
    """Return the POSIX time of an x-amz-date or Date header in any form that S3 accepts.

    None where it is no time, or one outside the years 1 to 9999 in UTC.
    """
    moment = basic_time(text)
    if moment is not None:
        return moment
    try:
        parsed = parsedate_to_datetime(text)
        parsed = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed.timestamp()


def iso_time(moment: float) -> str:
    """Return a POSIX time as error documents show it: 2026-11-21T10:00:00Z."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    raw = unquote_to_bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _recode(text: str) -> str:
    return encode(unquote_to_bytes(text.replace("+", " ")))
