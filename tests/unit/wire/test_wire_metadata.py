"""User metadata on the wire: what was sent comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.wire.metadata import read_value, unicode_value, write_value


def received(value: str) -> str:
    """What the server sees of a header's UTF-8 bytes."""
    return value.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("plain value", "plain value"),
        (received("grün \N{FLOPPY DISK}"), "grün \N{FLOPPY DISK}"),
        ("gr\xfcn", "grün"),
        ("=?UTF-8?B?Z3LDvG4=?=", "grün"),
        ("=?utf-8?q?gr=C3=BCn_x?=", "grün x"),
        ("=?ISO-8859-1?Q?gr=FCn?=", "grün"),
        ("=?UTF-8?B?Z3I=?= =?UTF-8?B?w7xu?=", "grün"),
        ("=?UTF-8?B?!!?=", "=?UTF-8?B?!!?="),
        ("=?no-such-charset?B?Z3I=?=", "=?no-such-charset?B?Z3I=?="),
        ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?="),
        ("what =?", "what =?"),
    ],
)
def test_value_is_read(header: str, expected: str) -> None:
    assert read_value(header) == expected


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("plain value", "plain value"),
        ("grün", "grün"),
        ("a\nb", "=?UTF-8?B?YQpi?="),
        (" a", "=?UTF-8?B?IGE=?="),
        ("=?UTF-8?B?YQ==?=", "=?UTF-8?B?PT9VVEYtOD9CP1lRPT0/PQ==?="),
    ],
)
def test_value_is_written(value: str, header: str) -> None:
    assert write_value(value) == header


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100))
def test_any_value_survives_the_wire(value: str) -> None:
    header = write_value(value)
    assert read_value(received(header)) == value
    assert header.isprintable()


def test_hostile_encoded_words_are_read_in_linear_time() -> None:
    assert read_value("=?u?q?" * 300) == "=?u?q?" * 300


def test_other_text_is_utf8_or_latin1() -> None:
    assert [unicode_value(received("é")), unicode_value("\xe9"), unicode_value("e")] == [
        "é",
        "é",
        "e",
    ]


def test_text_that_no_header_carried_is_itself() -> None:
    """A parameter of a signed URL that stands for a header is decoded already."""
    assert ["10 €", "10 €"] == [unicode_value("10 €"), read_value("10 €")]
