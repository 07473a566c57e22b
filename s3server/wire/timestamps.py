"""Dates as S3 writes them in headers, XML and queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from functools import lru_cache

import msgspec

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TWO = tuple(f"{number:02}" for number in range(60))
_ISO = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(T[0-9:.,Z+-]+)?").fullmatch


def parse_timestamp(text: str) -> datetime:
    """Read an ISO 8601 date or any of the three forms of RFC 9110, 5.6.7, in UTC.

    A date without zone is taken for UTC. Raises ValueError.
    """
    text = text.strip()
    try:
        if _ISO(text):
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        fields = parsedate_tz(text)
        if fields is None:
            raise ValueError("not a date")
        zone = timezone(timedelta(seconds=fields[9] or 0))
        return datetime(*fields[:6], tzinfo=zone).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a date of our calendar") from None


def http_date(moment: datetime) -> str:
    """Return the form of HTTP headers: "Sun, 06 Nov 1994 08:49:37 GMT"."""
    moment = _utc(moment)
    return (
        f"{_DAYS[moment.weekday()]}, {_TWO[moment.day]} {_MONTHS[moment.month - 1]} "
        f"{moment.year:04} {_TWO[moment.hour]}:{_TWO[moment.minute]}:{_TWO[moment.second]} GMT"
    )


@lru_cache(maxsize=4_096)
def http_seconds(since_1970: int) -> str:
    """Return that form of a time in whole seconds."""
    return http_date(datetime.fromtimestamp(since_1970, UTC))


def iso_millis(moment: datetime) -> str:
    """Return the form of S3's XML: "1994-11-06T08:49:37.000Z".

    Whole seconds, as in Last-Modified: what a listing says can be sent back in a condition.
    """
    return f"{_seconds(moment)}.000Z"


def iso_seconds(moment: datetime) -> str:
    """Return the form of IAM, STS and SNS: "1994-11-06T08:49:37Z"."""
    return f"{_seconds(moment)}Z"


@lru_cache(maxsize=4_096)
def _seconds(moment: datetime) -> str:
    """ISO 8601 without zone; far faster than isoformat(): a listing has a thousand of them."""
    return str(msgspec.to_builtins(_utc(moment)))[:19]


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError("a timestamp without time zone")
    return moment.astimezone(UTC)
