"""Policy documents: what is read, and everything that is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3server.auth.policy import Question, Requester, evaluate
from s3server.auth.policy_parse import PolicyError, parse_policy
from tests.unit.auth.test_wildcard import Known

STATEMENT = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::b/*",
}


def document(version: str = "2012-10-17", **changes: Any) -> str:
    """Return a policy of one statement that differs; None leaves an element out."""
    statement = {name: v for name, v in {**STATEMENT, **changes}.items() if v is not None}
    return json.dumps({"Version": version, "Statement": [statement]})


def error(text: str, **how: bool) -> str:
    with pytest.raises(PolicyError) as raised:
        parse_policy(text, **{"has_principals": True, **how})
    return str(raised.value)


NOT_JSON = "Policies must be valid JSON and the first byte must be '{'"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '"x"', "null", "[" * 20_000, '{"a":' * 4_000, "{} {}", "\ufeff{}", "{'a': 1}"],
)
def test_what_is_no_json_object(text: str) -> None:
    assert error(text) == NOT_JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "Missing required field Statement"),
        ('{"Statement": []}', "Could not parse the policy: Statement is empty!"),
        ('{"Statement": "x"}', "Missing required field Statement"),
        ('{"Statement": ["x"]}', "A statement is an object"),
        ('{"Statement": [], "statement": []}', "Unknown field statement"),
        ('{"Statement": [], "Statement": []}', "A field is given twice"),
        ('{"Version": "2012-10-17", "Id": 7, "Statement": []}',
         "A text was expected, in valid Unicode"),
        ('{"Version": "2020-01-01", "Statement": []}',
         "The policy must contain a valid version string"),
        ('{"Version": NaN}', "NaN is not a value"),
    ],
)  # fmt: skip
def test_document_that_is_refused(text: str, message: str) -> None:
    assert error(text) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Effect": None}, "Missing required field Effect"),
        ({"Effect": "allow"}, "Invalid effect: it is Allow or Deny"),
        ({"Effect": ["Allow"]}, "Invalid effect: it is Allow or Deny"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Action": None}, "Missing required field Action"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"NotAction": "s3:PutObject"}, "Action and NotAction exclude each other"),
        ({"Principal": None, "NotPrincipal": {"AWS": "red"}},
         "Allow with NotPrincipal is not allowed"),
        ({"Sid": 1}, "A text was expected, in valid Unicode"),
        ({"Sid": "\ud800"}, "A text was expected, in valid Unicode"),
        ({"Conditions": {}}, "Unknown field Conditions"),
        ({"Action": "GetObject"}, "Policy has invalid action"),
        ({"Action": []}, "A list is empty"),
        ({"Action": ["s3:GetObject", 1]}, "A text was expected, in valid Unicode"),
        ({"Action": "s3:Get Object"}, "Policy has invalid action"),
        ({"Resource": "b/*"}, "Policy has invalid resource"),
        ({"Resource": ""}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::b/${x"},
         "Policy has invalid resource: a policy variable is not closed"),
        ({"Condition": []}, "Condition is an object"),
        ({"Condition": {"StringEquals": {}}}, "A condition operator takes an object of keys"),
        ({"Condition": {"StringEquals": "x"}}, "A condition operator takes an object of keys"),
        ({"Condition": {"StringEqual": {"aws:a": "x"}}}, "Invalid Condition type : StringEqual"),
        ({"Condition": {"StringEquals": {"aws:a": []}}}, "A condition key has no value"),
        ({"Condition": {"StringEquals": {"aws:a": {}}}}, "A text was expected, in valid Unicode"),
        ({"Condition": {"StringEquals": {"aws:a": None}}}, "A text was expected, in valid Unicode"),
        ({"Condition": {"StringEquals": {"": "x"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"StringEquals": {"aws:a": "x", "AWS:A": "y"}}},
         "A condition key is given twice"),
        ({"Condition": {"NumericEquals": {"aws:a": "x"}}},
         "Policy has an invalid condition value: not a number"),
    ],
)  # fmt: skip
def test_statement_that_is_refused(changes: dict[str, Any], message: str) -> None:
    assert error(document(**changes)) == message


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "arn:aws:iam::red:user/*"}, {"AWS": "arn:aws:iam::*:root"}, {"AWS": "a*"},
        {"AWS": "arn:aws:iam::red:group/g"}, {"AWS": "arn:aws:s3:::b"}, {"AWS": ""},
        {"AWS": "arn:aws:iam:::user/x"}, {"CanonicalUser": "*"}, {"CanonicalUser": "a" * 63},
        {"AWS": "AIDAIOSFODNN7EXAMPLEQ"}, {"AWS": ["red", "AROAIOSFODNN7EXAMPLEQ"]},
        {"Service": "*"}, {"Federated": ""}, {"Federated": "a b"},
    ],
)  # fmt: skip
def test_principal_that_is_refused(principal: dict[str, str]) -> None:
    assert error(document(Principal=principal)) == "Invalid principal in policy"


@pytest.mark.parametrize("principal", ["", "red", [], {}, None, ["*"], {"Aws": "*"}, {"AWS": []}])
def test_principal_of_another_form_is_refused(principal: object) -> None:
    text = json.dumps({"Statement": [{**STATEMENT, "Principal": principal}]})
    assert error(text)


def test_statements_have_different_names() -> None:
    text = json.dumps({"Statement": [{**STATEMENT, "Sid": "a"}, {**STATEMENT, "Sid": "a"}]})
    assert error(text) == "Statement IDs (SID) in a single policy must be unique."


def test_policy_of_an_identity_names_nobody() -> None:
    assert "principal" in error(document(), has_principals=False)
    parse_policy(document(Principal=None), has_principals=False)
    assert "resource" in error(document(), has_resources=False)
    parse_policy(document(Resource=None), has_principals=True, has_resources=False)


ANN = Requester(("arn:aws:iam::red:user/ann",), "red", "a" * 64)
BOB = Requester(("arn:aws:iam::blue:user/bob",), "blue", "b" * 64)
NOBODY = Requester()


def verdict(
    text: str, who: Requester = ANN, action: str = "s3:GetObject", **keys: tuple[str, ...]
) -> str:
    bound = tuple((who.arns[0], who.canonical_id) for who in (ANN, BOB))
    policy = parse_policy(text, has_principals=True, bound=bound)
    known = Known({f"aws:{name}": values for name, values in keys.items()})
    return evaluate([policy], Question(who, action, "arn:aws:s3:::b/x", known)).value


@pytest.mark.parametrize(
    ("principal", "ann", "bob", "nobody"),
    [
        ("*", "allow", "allow", "allow"),
        ({"AWS": "*"}, "allow", "allow", "allow"),
        ({"AWS": "red"}, "allow", "silent", "silent"),
        ({"AWS": "arn:aws:iam::red:root"}, "allow", "silent", "silent"),
        ({"AWS": ["arn:aws:iam::red:user/ann", "blue"]}, "allow", "allow", "silent"),
        ({"AWS": "arn:aws:iam::red:user/an"}, "silent", "silent", "silent"),
        ({"CanonicalUser": "b" * 64}, "silent", "allow", "silent"),
        ({"Service": "logging.s3.amazonaws.com"}, "silent", "silent", "silent"),
        ({"Federated": "accounts.example.org"}, "silent", "silent", "silent"),
    ],
)
def test_whom_a_statement_is_about(principal: object, ann: str, bob: str, nobody: str) -> None:
    text = document(Principal=principal)
    assert (verdict(text, ANN), verdict(text, BOB), verdict(text, NOBODY)) == (ann, bob, nobody)


def test_deny_of_all_but_some_denies_the_others() -> None:
    text = document(Effect="Deny", Principal=None, NotPrincipal={"AWS": "red"})
    assert (verdict(text, ANN), verdict(text, BOB), verdict(text, NOBODY)) == (
        "silent", "deny", "deny",
    )  # fmt: skip


@pytest.mark.parametrize("opposite", [{"StringNotEquals": {"aws:new": "x"}},
                                      {"StringEquals": {"aws:new": "x"}},
                                      {"Null": {"aws:new": "true"}},
                                      {"StringEqualsIfExists": {"aws:new": "x"}}])  # fmt: skip
def test_unknown_key_permits_nothing_and_denies(opposite: dict[str, Any]) -> None:
    assert verdict(document(Condition=opposite)) == "silent"
    assert verdict(document(Condition=opposite, Effect="Deny")) == "deny"


def test_condition_that_does_not_hold_decides_beside_an_unknown_key() -> None:
    condition = {"StringEquals": {"aws:new": "x", "aws:known": "y"}}
    text = document(Condition=condition, Effect="Deny")
    assert verdict(text, known=("z",)) == "silent"
    assert verdict(text, known=("y",)) == "deny"


def test_variables_belong_to_the_version_of_2012() -> None:
    resource = "arn:aws:s3:::b/${aws:username}"
    assert verdict(document(Resource=resource), username=("x",)) == "allow"
    assert verdict(document("2008-10-17", Resource=resource), username=("x",)) == "silent"


def test_variable_without_value_permits_nothing() -> None:
    resource = "arn:aws:s3:::b/${aws:username}"
    assert verdict(document(Resource=resource)) == "silent"
    assert verdict(document(Resource=None, NotResource=resource)) == "silent"
    assert verdict(document(Resource=None, NotResource=resource, Effect="Deny")) == "deny"


def test_numbers_and_booleans_of_conditions_are_texts() -> None:
    text = document(Condition={"NumericLessThan": {"aws:n": 10}, "Bool": {"aws:b": True}})
    assert verdict(text, n=("9",), b=("true",)) == "allow"
    assert verdict(text, n=("9",), b=("false",)) == "silent"
