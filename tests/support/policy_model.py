"""What a policy says, written down a second time: on the JSON itself, naively, by the books.

Shares no code with the server. Three answers: True, False, and None for what cannot be decided.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = bool | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One question in plain words."""

    account: str  # "" for the anonymous
    user: str
    action: str
    resource: str
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # all that are known


def decide(policy: dict[str, Any], asked: Asked) -> str:
    """Return "deny", "allow" or "silent"."""
    has_variables = policy.get("Version") == "2012-10-17"
    effects = {
        statement["Effect"]
        for statement in policy["Statement"]
        if _applies(statement, asked, has_variables)
    }
    return "deny" if "Deny" in effects else "allow" if "Allow" in effects else "silent"


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _applies(statement: dict[str, Any], asked: Asked, variables: bool) -> bool:
    if "Principal" in statement and not _names(statement["Principal"], asked):
        return False
    if "NotPrincipal" in statement and _names(statement["NotPrincipal"], asked):
        return False
    is_listed = any(
        _glob(pattern.lower(), asked.action.lower())
        for pattern in _many(statement.get("Action", statement.get("NotAction")))
    )
    if is_listed == ("NotAction" in statement):
        return False
    answers = [
        _fits(pattern, asked.resource, asked, wild=True, variables=variables)
        for pattern in _many(statement.get("Resource", statement.get("NotResource")))
    ]
    allows = statement["Effect"] == "Allow"
    if "NotResource" in statement:
        excluded = any(answer is True or (answer is None and allows) for answer in answers)
        if excluded:
            return False
    elif True not in answers:
        return False
    conditions = [
        _holds(operator, key, _many(values), asked, variables)
        for operator, block in statement.get("Condition", {}).items()
        for key, values in block.items()
    ]
    if False in conditions:
        return False
    return not allows if None in conditions else True


def _names(principal: Any, asked: Asked) -> bool:
    if principal == "*":
        return True
    for name in _many(principal["AWS"]):
        if name == "*":
            return True
        if asked.account and name in (asked.account, f"arn:aws:iam::{asked.account}:root"):
            return True
        if asked.account and name == f"arn:aws:iam::{asked.account}:user/{asked.user}":
            return True
    return False


def _glob(pattern: str, text: str) -> bool:
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _fits(text: str, value: str, asked: Asked, *, wild: bool, variables: bool) -> Answer:
    """Spell the pattern as a regular expression, piece by piece."""
    expression, rest = "", text
    while rest:
        if variables and rest.startswith("${"):
            inner, _, rest = rest[2:].partition("}")
            name, _, default = inner.partition(", ")
            if inner in ("*", "?", "$"):
                expression += re.escape(inner)
                continue
            values = asked.keys.get(name.lower())
            if values is not None and len(values) == 1:
                expression += re.escape(values[0])
            elif values == () and default:
                expression += re.escape(default.strip("'"))
            else:
                return None
            continue
        sign, rest = rest[0], rest[1:]
        expression += {"*": ".*", "?": "."}.get(sign, re.escape(sign)) if wild else re.escape(sign)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _one(operator: str, wanted: str, value: str, asked: Asked, variables: bool) -> Answer:
    """Return whether one value of the request is one value of the policy."""
    if operator in ("StringEquals", "StringNotEquals"):
        return _fits(wanted, value, asked, wild=False, variables=variables)
    if operator in ("StringLike", "StringNotLike"):
        return _fits(wanted, value, asked, wild=True, variables=variables)
    if not re.fullmatch(r"-?\d+", value):
        return None
    left, right = int(value), int(wanted)
    return {
        "NumericEquals": left == right,
        "NumericNotEquals": left == right,
        "NumericLessThan": left < right,
        "NumericGreaterThanEquals": left >= right,
    }[operator]


def _holds(operator: str, key: str, wanted: list[str], asked: Asked, variables: bool) -> Answer:
    values = asked.keys.get(key.lower())
    if values is None:
        return None
    if operator == "Null":
        return any(want == ("false" if values else "true") for want in wanted)
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    negated = "Not" in name
    if not values:
        if if_exists or quantifier == "ForAllValues":
            return True
        return negated and quantifier != "ForAnyValue"
    each: list[Answer] = []
    for value in values:
        found = [_one(name, want, value, asked, variables) for want in wanted]
        is_one: Answer = True if True in found else None if None in found else False
        each.append(is_one if is_one is None else is_one != negated)
    if quantifier == "ForAllValues" or (not quantifier and negated):
        return False if False in each else None if None in each else True
    return True if True in each else None if None in each else False
