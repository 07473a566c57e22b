"""Conditions of policies: operators, and what they say of a request.

Source: "IAM JSON policy elements: Condition operators" and "Set operators for multi-valued
context keys", AWS IAM user guide. The answer is three-valued: None is what cannot be decided,
because nobody here knows the key, a variable has no value, or the request's value is no number
where one is compared. Who asks must then take the answer that permits less.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from s3server.auth.wildcard import Keys, Pattern, Token, Variable, read_template

# Whether the value of a request is one of the policy's; None where that cannot be told.
Test = Callable[[str, Keys], bool | None]
Address = tuple[int, int]  # version, number
Network = tuple[int, int, int]  # version, number of its first address, mask

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?").fullmatch
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
).fullmatch
_EPOCH = re.compile(r"[0-9]{5,12}(\.[0-9]{1,6})?").fullmatch
_ALL, _ANY = "ForAllValues", "ForAnyValue"


class Condition(msgspec.Struct, frozen=True):
    """One key of one operator."""

    key: str  # lower case
    matches: Test
    name: str  # of the operator, without quantifier and IfExists
    is_negated: bool = False
    quantifier: str = ""  # "", "ForAllValues", "ForAnyValue"
    if_exists: bool = False
    texts: tuple[str, ...] = ()  # values as the policy has them

    def holds(self, keys: Keys) -> bool | None:
        """Return whether the condition holds for a request.

        Without the key it does where it is negated or has IfExists, and for ForAllValues.
        """
        values = keys.find(self.key)
        if values is None:
            return None
        if self.name == "Null":
            return ("true" if not values else "false") in self.texts
        if not values:
            if self.if_exists or self.quantifier == _ALL:
                return True
            return self.is_negated and self.quantifier != _ANY
        if len(values) == 1:
            matches = self.matches(values[0], keys)
            return None if matches is None else matches != self.is_negated
        # Negation is of each value: ForAnyValue:StringNotEquals asks for one that is not there.
        verdicts = [self._satisfies(value, keys) for value in values]
        needs_all = self.is_negated if not self.quantifier else self.quantifier == _ALL
        return all_of(verdicts) if needs_all else any_of(verdicts)

    def _satisfies(self, value: str, keys: Keys) -> bool | None:
        matches = self.matches(value, keys)
        return None if matches is None else matches != self.is_negated


def all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Return False where one is, else None where one is, else True."""
    result: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        result = verdict if verdict is None else result
    return result


def any_of(verdicts: Iterable[bool | None]) -> bool | None:
    """Return True where one is, else None where one is, else False."""
    result: bool | None = False
    for verdict in verdicts:
        if verdict:
            return True
        result = verdict if verdict is None else result
    return result


def read_condition(
    name: str, key: str, values: Sequence[str], *, variables: bool
) -> Condition | None:
    """Return a condition; None where there is no such operator. Raises ValueError for its values.

    `variables` tells whether `${...}` stands for values of the request.
    """
    quantifier, colon, rest = name.rpartition(":")
    base = rest.removesuffix("IfExists")
    if colon and quantifier not in (_ALL, _ANY):
        return None
    if base == "Null":
        if name != base or not {*values} <= {"true", "false"}:
            raise ValueError("Null takes true or false")
        return Condition(key.lower(), _undecided, base, texts=tuple(values))
    if base in _ON_TEXT:
        make, is_negated = _ON_TEXT[base]
        tests = [make(value, variables) for value in values]
    elif base in _ON_VALUES:
        read, read_sent, compare, is_negated = _ON_VALUES[base]
        tests = [_value_test(read(value), read_sent, compare) for value in values]
    else:
        return None

    return Condition(
        key.lower(), _any_test(tests), base, is_negated, quantifier, base != rest, tuple(values)
    )


def _any_test(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]

    def matches(value: str, keys: Keys) -> bool | None:
        return any_of([test(value, keys) for test in tests])

    return matches


def _undecided(value: str, keys: Keys) -> bool | None:
    return None


def _equals(text: str, variables: bool) -> Test:
    return Pattern(read_template(text, wild=False, variables=variables)).matches


def _equals_ignoring_case(text: str, variables: bool) -> Test:
    template = read_template(text, wild=False, variables=variables)
    return Pattern(template, ignores_case=True).matches


def _like(text: str, variables: bool) -> Test:
    return Pattern(read_template(text, variables=variables)).matches


def _arn(text: str, variables: bool) -> Test:
    """A wildcard of an ARN ends with its part: five colons are where they are."""
    parts: list[list[Token | Variable]] = [[]]
    for token in read_template(text, variables=variables):
        pieces = token.split(":", 6 - len(parts)) if isinstance(token, str) else [token]
        for position, piece in enumerate(pieces):
            if position:
                parts.append([])
            if piece != "":
                parts[-1].append(piece)
    if len(parts) != 6:
        raise ValueError("not an ARN")
    patterns = [Pattern(tuple(part)) for part in parts]

    def test(value: str, keys: Keys) -> bool | None:
        sent = value.split(":", 5)
        if len(sent) != 6:
            return None
        return all_of(
            pattern.matches(part, keys) for pattern, part in zip(patterns, sent, strict=True)
        )

    return test


def _value_test(
    value: Any, read_sent: Callable[[str], Any], compare: Callable[[Any, Any], bool]
) -> Test:
    def test(sent: str, keys: Keys) -> bool | None:
        try:
            return compare(read_sent(sent), value)
        except ValueError:
            return None

    return test


def _number(text: str) -> Decimal:
    if _NUMBER(text) is None:
        raise ValueError("not a number")
    return Decimal(text)


def _date(text: str) -> Decimal:
    """Seconds since 1970 of an ISO 8601 date or of such seconds; without zone it is UTC."""
    if _EPOCH(text):
        return Decimal(text)
    if _DATE(text) is None:
        raise ValueError("not a date")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Decimal(str(moment.timestamp()))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("not a boolean")
    return text.lower() == "true"


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


@lru_cache(maxsize=4_096)
def _address(text: str) -> Address:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)  # what a socket for both families shows
    address = address if mapped is None else mapped
    return address.version, int(address)


def _network(text: str) -> Network:
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), int(network.netmask)


def _is_in(address: Address, network: Network) -> bool:
    return address[0] == network[0] and address[1] & network[2] == network[1]


# operator -> what makes a test of one value; whether it is negated
_ON_TEXT: dict[str, tuple[Callable[[str, bool], Test], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnLike": (_arn, False),
    "ArnNotLike": (_arn, True),
}
_COMPARISONS: dict[str, tuple[Callable[[Any, Any], bool], bool]] = {
    "Equals": (operator.eq, False),
    "NotEquals": (operator.eq, True),
    "LessThan": (operator.lt, False),
    "LessThanEquals": (operator.le, False),
    "GreaterThan": (operator.gt, False),
    "GreaterThanEquals": (operator.ge, False),
}
# operator -> what reads the policy's value, what the request's, how they compare; negated
_ON_VALUES: dict[
    str, tuple[Callable[[str], Any], Callable[[str], Any], Callable[[Any, Any], bool], bool]
] = {
    **{f"Numeric{name}": (_number, _number, *how) for name, how in _COMPARISONS.items()},
    **{f"Date{name}": (_date, _date, *how) for name, how in _COMPARISONS.items()},
    "Bool": (_boolean, _boolean, operator.eq, False),
    "BinaryEquals": (_bytes, _bytes, operator.eq, False),
    "IpAddress": (_network, _address, _is_in, False),
    "NotIpAddress": (_network, _address, _is_in, True),
}
