"""What AWS's models say a value must be like: length, range, pattern, one of a set.

Patterns are Java's: `\\w` is ASCII, `\\p{L}` a category of Unicode. Texts of errors are AWS's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import msgspec

_CATEGORY = re.compile(r"\\p\{([A-Z])\}")


class Constraint(msgspec.Struct, frozen=True):
    """What a shape's values have to satisfy. Nothing, where nothing is set."""

    least: int | None = None  # of characters, items, or the number itself
    most: int | None = None
    pattern: str = ""
    enum: tuple[str, ...] = ()


UNCONSTRAINED = Constraint()


def compile_constraint(constraint: Constraint, kind: str) -> Callable[[Any], str]:
    """Return what tells why a value of this type is refused; "" where it is not."""
    if kind in {"integer", "long"}:
        return _bounds(constraint, "value", int)
    if kind in {"list", "map"}:
        return _bounds(constraint, "length", len)
    if kind != "string":
        return lambda value: ""
    has_length = _bounds(constraint, "length", len)
    matches = _pattern(constraint.pattern)
    enum = frozenset(constraint.enum)

    def check(value: str) -> str:
        if enum and value not in enum:
            return f"Member must satisfy enum value set: [{', '.join(sorted(enum))}]"
        if matches is not None and not matches(value):
            return f"Member must satisfy regular expression pattern: {constraint.pattern}"
        return has_length(value)

    return check


def _bounds(
    constraint: Constraint, what: str, measure: Callable[[Any], int]
) -> Callable[[Any], str]:
    least, most = constraint.least, constraint.most

    def check(value: Any) -> str:
        size = measure(value)
        if most is not None and size > most:
            return f"Member must have {what} less than or equal to {most}"
        if least is not None and size < least:
            return f"Member must have {what} greater than or equal to {least}"
        return ""

    return check


def _pattern(pattern: str) -> Callable[[str], object] | None:
    if not pattern:
        return None
    if not _CATEGORY.search(pattern):
        return re.compile(pattern, re.ASCII).fullmatch
    # All of them are one class of characters, repeated: "[\\p{L}_]+".
    categories = frozenset(_CATEGORY.findall(pattern))
    others = re.compile(_CATEGORY.sub("", pattern[:-1])).fullmatch
    return lambda text: (
        all(unicodedata.category(letter)[0] in categories or others(letter) for letter in text)
        and (text != "" or pattern.endswith("*"))
    )
