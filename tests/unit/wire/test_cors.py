"""Rules of cross-origin resource sharing: what is legal, what fits, what may be said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.errors import InvalidRequest, MalformedXML
from s3server.wire.cors import check_rules, find_rule, requested_headers, sharing_headers


def rule(**fields: Any) -> dict[str, Any]:
    return {"AllowedOrigins": ["https://a.example"], "AllowedMethods": ["GET"], **fields}


@pytest.mark.parametrize("count", [1, 100])
def test_up_to_a_hundred_rules_are_taken(count: int) -> None:
    check_rules([rule()] * count)


@pytest.mark.parametrize("count", [0, 101])
def test_none_and_more_than_a_hundred_are_refused(count: int) -> None:
    with pytest.raises(MalformedXML):
        check_rules([rule()] * count)


@pytest.mark.parametrize(
    "fields",
    [
        {"AllowedMethods": ["OPTIONS"]},
        {"AllowedMethods": ["get"]},
        {"AllowedOrigins": ["https://*.*.example"]},
        {"AllowedOrigins": [""]},
        {"AllowedOrigins": ["https://a.example\r\nx: y"]},
        {"AllowedHeaders": ["**"]},
        {"AllowedHeaders": ["x\n"]},
        {"ExposeHeaders": ["*"]},
        {"ExposeHeaders": ["ETag\nSet-Cookie: a=b"]},
        {"ExposeHeaders": ["ETag\r"]},
        {"ExposeHeaders": [""]},
    ],
)
def test_rule_that_could_not_be_sent_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        check_rules([rule(**fields)])


@pytest.mark.parametrize("fields", [{"ID": "x" * 256}, {"MaxAgeSeconds": -1}])
def test_values_out_of_bounds_are_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedXML):
        check_rules([rule(**fields)])


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://a.example", "https://a.example", "https://a.example"),
        ("https://a.example", "https://a.example.evil", None),
        ("https://a.example", "https://A.example", None),
        ("https://*.example", "https://b.example", "https://b.example"),
        ("https://*.example", "https://.example", "https://.example"),
        ("https://*.example", "https://example", None),
        ("*", "https://anybody", "*"),
        ("*", "null", "*"),
        ("https://a*", "null", None),
        ("ab*ba", "aba", None),
        ("*", "two origins", None),
        ("*", "", None),
        ("*", "caf\u00e9", None),
    ],
)
def test_origin_fits_a_pattern_with_one_star(
    pattern: str, origin: str, allowed: str | None
) -> None:
    found = find_rule([rule(AllowedOrigins=[pattern])], origin, "GET")
    assert (found and found[1]) == allowed


def test_first_rule_that_allows_everything_is_taken() -> None:
    rules = [
        rule(ID="other method", AllowedMethods=["PUT"]),
        rule(ID="no header"),
        rule(ID="headers", AllowedHeaders=["X-Amz-*", "range"]),
        rule(ID="later", AllowedHeaders=["*"]),
    ]
    found = find_rule(rules, "https://a.example", "GET", ["x-amz-date", "range"])
    assert found is not None
    assert found[0]["ID"] == "headers"
    assert find_rule(rules[:3], "https://a.example", "GET", ["authorization"]) is None


def test_requested_headers_are_names() -> None:
    assert requested_headers("X-Amz-Date, range,,") == ["x-amz-date", "range"]
    assert requested_headers("") == []
    assert requested_headers("range, bad name") is None


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=4))
def test_what_passes_the_checks_can_be_sent(origin: str, exposed: list[str]) -> None:
    one = rule(AllowedOrigins=["*", origin], ExposeHeaders=exposed)
    try:
        check_rules([one])
    except InvalidRequest:
        return
    for _, value in sharing_headers(one, origin, ["range"]):
        assert not any(byte < 32 or byte == 127 for byte in value)


@given(st.text(max_size=60))
def test_no_origin_is_told_that_is_not_plain(origin: str) -> None:
    found = find_rule([rule(AllowedOrigins=["*", "h*"])], origin, "GET")
    assert found is None or (origin.isascii() and origin.isprintable())
