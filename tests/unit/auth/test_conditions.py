"""Every operator of conditions, and what cannot be decided."""

from __future__ import annotations

import pytest

from s3server.auth.conditions import read_condition
from tests.unit.auth.test_wildcard import Known

ARN = "arn:aws:iam::red:user/ann"

# operator, values of the policy, values of the request that fit, and that do not
TABLE = [
    ("StringEquals", ["a", "b"], ["a", "b"], ["", "A", "ab", "*"]),
    ("StringEquals", ["a*"], ["a*"], ["ab"]),
    ("StringEqualsIgnoreCase", ["aB"], ["ab", "AB"], ["b"]),
    ("StringLike", ["a*", "?x"], ["a", "abc", "yx"], ["b", "xyx"]),
    ("NumericEquals", ["10"], ["10", "10.0", "+10"], ["1", "-10"]),
    ("NumericLessThan", ["10"], ["9", "-1", "9.99"], ["10", "11"]),
    ("NumericLessThanEquals", ["10"], ["10"], ["10.01"]),
    ("NumericGreaterThan", ["10", "20"], ["11"], ["10"]),
    ("NumericGreaterThanEquals", ["10"], ["10"], ["9"]),
    ("DateEquals", ["2026-09-21T14:13:20Z"],
     ["2026-09-21T16:13:20+02:00", "1790000000"], ["2026-09-21"]),
    ("DateLessThan", ["2026-09-21"], ["2026-09-20T23:59:59Z"], ["2026-09-21T00:00:00Z"]),
    ("DateLessThanEquals", ["2026-09-21"], ["2026-09-21"], ["2026-09-21T00:00:01Z"]),
    ("DateGreaterThan", ["1790000000"], ["2026-09-22"], ["1790000000"]),
    ("DateGreaterThanEquals", ["2026-09-21"], ["2026-09-21"], ["2026-09-20"]),
    ("Bool", ["true"], ["true", "TRUE"], ["false"]),
    ("BinaryEquals", ["QQ=="], ["QQ=="], ["Qg=="]),
    ("IpAddress", ["192.0.2.0/24", "2001:db8::/32"],
     ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"], ["192.0.3.7", "2001:db9::1"]),
    ("IpAddress", ["192.0.2.7"], ["192.0.2.7"], ["192.0.2.8"]),
    ("ArnEquals", [ARN], [ARN], ["arn:aws:iam::red:user/bob"]),
    ("ArnLike", ["arn:aws:iam::*:user/*"], [ARN], ["arn:aws:iam::red:role/ann"]),
    ("ArnLike", ["arn:aws:*::red:user/ann"], [ARN], ["arn:aws:iam:x:y:red:user/ann"]),
]  # fmt: skip
CASES = [
    (operator, values, sent, expected)
    for operator, values, fitting, others in TABLE
    for sents, expected in ((fitting, True), (others, False))
    for sent in sents
]
OPPOSITES = {
    "StringEquals": "StringNotEquals",
    "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase",
    "StringLike": "StringNotLike",
    "NumericEquals": "NumericNotEquals",
    "DateEquals": "DateNotEquals",
    "IpAddress": "NotIpAddress",
    "ArnEquals": "ArnNotEquals",
    "ArnLike": "ArnNotLike",
}


def holds(
    operator: str, values: list[str], sent: tuple[str, ...] | None, **others: tuple[str, ...]
) -> bool | None:
    condition = read_condition(operator, "The:Key", values, variables=True)
    assert condition is not None
    others = {f"aws:{name}": value for name, value in others.items()}
    return condition.holds(Known({"the:key": sent, **others}))


@pytest.mark.parametrize(("operator", "values", "sent", "expected"), CASES)
def test_operator(operator: str, values: list[str], sent: str, expected: bool) -> None:
    assert holds(operator, values, (sent,)) is expected
    if operator in OPPOSITES:
        assert holds(OPPOSITES[operator], values, (sent,)) is not expected


@pytest.mark.parametrize("operator", sorted({row[0] for row in TABLE}))
def test_without_the_key_only_negation_and_if_exists_hold(operator: str) -> None:
    values = next(row[1] for row in TABLE if row[0] == operator)
    assert holds(operator, values, ()) is False
    assert holds(f"{operator}IfExists", values, ()) is True
    if operator in OPPOSITES:
        assert holds(OPPOSITES[operator], values, ()) is True


def test_null_asks_whether_the_key_is_there() -> None:
    assert holds("Null", ["true"], ()) is True
    assert holds("Null", ["true"], ("x",)) is False
    assert holds("Null", ["false"], ("",)) is True


# per value: the others are wrong when negation is pulled out of the quantifier (GHSA-v9cp)
SETS = [
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
    ("ForAnyValue:StringEquals", ["a", "b"], ("a", "c"), True),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "d"), False),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("a", "c"), False),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "d"), True),
    ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "c"), True),
    ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "b"), False),
    ("ForAllValues:StringEquals", ["a"], (), True),
    ("ForAnyValue:StringEquals", ["a"], (), False),
    ("ForAnyValue:StringNotEquals", ["a"], (), False),
    ("ForAnyValue:StringEqualsIfExists", ["a"], (), True),
    ("StringEquals", ["a"], ("a", "b"), True),
    ("StringNotEquals", ["a"], ("a", "b"), False),
]


@pytest.mark.parametrize(("operator", "values", "sent", "expected"), SETS)
def test_set_operator_is_about_each_value(
    operator: str, values: list[str], sent: tuple[str, ...], expected: bool
) -> None:
    assert holds(operator, values, sent) is expected


EVERY = sorted({row[0] for row in TABLE} | set(OPPOSITES.values()))


@pytest.mark.parametrize("operator", [*EVERY, "Null"])
@pytest.mark.parametrize("suffix", ["", "IfExists"])
@pytest.mark.parametrize("quantifier", ["", "ForAllValues:", "ForAnyValue:"])
def test_unknown_key_decides_nothing(operator: str, suffix: str, quantifier: str) -> None:
    if operator == "Null" and (suffix or quantifier):
        return
    by_name = {row[0]: row[1] for row in TABLE} | {"Null": ["true"]}
    by_name |= {opposite: by_name[name] for name, opposite in OPPOSITES.items()}
    assert holds(quantifier + operator + suffix, by_name[operator], None) is None


@pytest.mark.parametrize(
    ("operator", "value", "sent"),
    [
        ("NumericEquals", "1", "one"),
        ("NumericNotEquals", "1", ""),
        ("NumericLessThan", "1", "nan"),
        ("DateLessThan", "2026-01-01", "yesterday"),
        ("Bool", "true", "1"),
        ("BinaryEquals", "QQ==", "!"),
        ("IpAddress", "192.0.2.0/24", "192.0.2.7, 1.2.3.4"),
        ("NotIpAddress", "192.0.2.0/24", "unix"),
        ("ArnNotLike", "arn:aws:iam::red:user/*", "ann"),
    ],
)
def test_value_of_another_type_decides_nothing(operator: str, value: str, sent: str) -> None:
    assert holds(operator, [value], (sent,)) is None


def test_variable_without_value_decides_nothing() -> None:
    assert holds("StringEquals", ["${aws:username}"], ("ann",)) is None
    assert holds("StringNotEquals", ["${aws:username}"], ("ann",), username=()) is None
    assert holds("StringEquals", ["${aws:username}", "ann"], ("ann",), username=()) is True
    assert holds("ArnLike", ["arn:aws:iam::${aws:a}:user/*"], (ARN,), a=("red",)) is True
    assert holds("StringEqualsIgnoreCase", ["x${aws:a}"], ("xred",), a=("RED",)) is True


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericEquals", "one"), ("NumericEquals", "1e400"), ("NumericEquals", "NaN"),
        ("DateEquals", "yesterday"), ("DateEquals", "2026-13-01"), ("Bool", "yes"),
        ("BinaryEquals", "?"), ("IpAddress", "192.0.2.0/33"), ("IpAddress", "*"),
        ("ArnEquals", "ann"), ("ArnLike", "*"), ("Null", "maybe"), ("NullIfExists", "true"),
        ("ForAllValues:Null", "true"), ("StringLike", "${aws:username"),
    ],
)  # fmt: skip
def test_value_that_the_operator_cannot_have_is_refused(operator: str, value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (texts differ)
        read_condition(operator, "the:key", [value], variables=True)


@pytest.mark.parametrize(
    "operator",
    ["StringEqual", "stringequals", "", "ForAllValues:", "ForSomeValues:StringEquals",
     "StringEqualsIfExistsIfExists", "ForAllValues:ForAnyValue:StringEquals", "IfExists"],
)  # fmt: skip
def test_operator_that_there_is_not(operator: str) -> None:
    assert read_condition(operator, "the:key", ["a"], variables=True) is None
