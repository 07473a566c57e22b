"""Patterns of policies."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.auth.wildcard import Pattern, read_template


class Known:
    """Keys that are given; all others are unknown, as is what has None."""

    def __init__(self, values: Mapping[str, tuple[str, ...] | None] | None = None) -> None:
        self._values = values or {}

    def find(self, key: str) -> tuple[str, ...] | None:
        return self._values.get(key)


def matches(pattern: str, text: str, **values: tuple[str, ...]) -> bool | None:
    keys = Known({f"aws:{name}": value for name, value in values.items()})
    return Pattern(read_template(pattern, variables=True)).matches(text, keys)


@given(st.text("ab*?", max_size=12), st.text("ab\n", max_size=16))
def test_wildcards_match_what_the_regular_expression_matches(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(sign, sign) for sign in pattern)
    expected = re.fullmatch(expression, text, re.DOTALL) is not None
    assert matches(pattern, text) == expected


def test_variable_stands_for_its_value() -> None:
    assert matches("home/${aws:username}/*", "home/alice/x", username=("alice",)) is True
    assert matches("home/${aws:username}/*", "home/bob/x", username=("alice",)) is False
    assert matches("home/${AWS:UserName}/*", "home/alice/x", username=("alice",)) is True


def test_stars_in_the_value_of_a_variable_are_text() -> None:
    assert matches("home/${aws:username}", "home/anybody", username=("*",)) is False
    assert matches("home/${aws:username}", "home/*", username=("*",)) is True
    assert matches("home/${aws:username}", "home/ab", username=("a?",)) is False


def test_variable_without_one_value_decides_nothing() -> None:
    assert matches("home/${aws:username}", "home/") is None
    assert matches("home/${aws:username}", "home/", username=()) is None
    assert matches("home/${aws:username}", "home/a", username=("a", "b")) is None


def test_default_of_a_variable_stands_in_where_the_request_lacks_it() -> None:
    assert matches("${aws:team, 'all'}/*", "all/x", team=()) is True
    assert matches("${aws:team, 'all'}/*", "red/x", team=("red",)) is True
    assert matches("${aws:unheard-of, 'all'}/*", "all/x") is None


@pytest.mark.parametrize("sign", ["*", "?", "$"])
def test_escaped_sign_is_text(sign: str) -> None:
    assert matches("a${" + sign + "}b", f"a{sign}b") is True
    assert matches("a${" + sign + "}b", "axb") is False


@pytest.mark.parametrize("broken", ["${aws:username", "${}", "${a b}", "${${aws:username}}"])
def test_broken_variable_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="policy variable"):
        read_template(broken, variables=True)


def test_without_variables_a_dollar_is_text() -> None:
    pattern = Pattern(read_template("${aws:username}", variables=False))
    assert pattern.matches("${aws:username}", Known()) is True


def counted_lines(call: Callable[[], object]) -> int:
    """Return how many lines of Python a call runs."""
    lines = 0

    def trace(frame: Any, event: str, arg: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines


HOSTILE = [
    ("*a" * 300 + "b", "a" * 1_000),
    ("*" + "a?" * 400 + "b*", "a" * 1_000),
    ("?a" * 300 + "*" + "?a" * 200 + "b", "a" * 1_000),
    ("*" * 5_000 + "b", "a" * 1_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_no_pattern_makes_matching_take_long(pattern: str, text: str) -> None:
    """Counted in lines that run, not in seconds: one that backtracks would never end."""
    lines = counted_lines(lambda: matches(pattern, text))
    assert lines < 40 * (len(pattern) + len(text))
