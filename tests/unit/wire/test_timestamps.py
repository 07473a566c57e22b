"""Dates in and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.wire.timestamps import http_date, iso_millis, iso_seconds, parse_timestamp

MOMENT = datetime(1994, 11, 6, 8, 49, 37, 123_456, tzinfo=UTC)
WHOLE = MOMENT.replace(microsecond=0)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 09:49:37 +0100",
        "1994-11-06T08:49:37Z",
        "1994-11-06T08:49:37.000Z",
        "1994-11-06T08:49:37",
        "1994-11-06T09:49:37+01:00",
        "19941106T084937Z",
    ],
)
def test_date_is_read(text: str) -> None:
    assert parse_timestamp(text) == WHOLE


@given(st.text(max_size=40) | st.text("0123456789:-+TZ GMTSunNov,.", max_size=40))
def test_any_text_is_a_date_or_refused(text: str) -> None:
    try:
        moment = parse_timestamp(text)
    except ValueError:
        return
    assert moment.tzinfo is UTC


def test_day_alone_is_its_midnight() -> None:
    assert parse_timestamp("1994-11-06") == datetime(1994, 11, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "yesterday", "12345", "1994-13-01T00:00:00Z", "1994-11-06T25:00:00Z"),
        *("Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +9999999999"),
        *("Sun, 06 Nov 1994 08:49:37 +" + "9" * 40, "0001-01-01T00:00:00+14:00"),
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_timestamp(text)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5))])
def test_date_is_written_in_utc(zone: timezone) -> None:
    moment = MOMENT.astimezone(zone)
    assert http_date(moment) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert iso_millis(moment) == "1994-11-06T08:49:37.000Z"
    assert iso_seconds(moment) == "1994-11-06T08:49:37Z"


def test_date_without_zone_is_a_bug() -> None:
    with pytest.raises(ValueError, match="without time zone"):
        http_date(datetime(2026, 1, 1))  # noqa: DTZ001
