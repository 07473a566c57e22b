"""Policy documents read strictly: what is not understood is refused, never ignored.

Source: "Grammar of the IAM JSON policy language", AWS IAM user guide. Texts of errors are S3's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from s3server.auth.conditions import Condition, read_condition
from s3server.auth.policy import Policy, Principals, Statement
from s3server.auth.wildcard import Pattern, read_template
from s3server.model import Pairs

_VERSION_WITH_VARIABLES = "2012-10-17"
_VERSIONS = frozenset({"2008-10-17", _VERSION_WITH_VARIABLES})
_FIELDS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_FIELDS = frozenset({
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
})  # fmt: skip
_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+|\*").fullmatch
_ACCOUNT = re.compile(r"[A-Za-z0-9._@+=-]{1,64}").fullmatch
_PRINCIPAL_ARN = re.compile(
    r"arn:aws:(?:iam::(?P<account>[^:/*?]{1,64}):(?P<iam>root|(?:user|role)/[^:*?]{1,512})"
    r"|sts::[^:/*?]{1,64}:(?:assumed-role|federated-user)/[^:*?]{1,512})"
).fullmatch
_UNIQUE_ID = re.compile(r"A(?:ID|RO)A[A-Z2-7]{17}").fullmatch  # shown for who is gone
_SESSION = "arn:aws:sts:"
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}").fullmatch
_OTHER = re.compile(r"[A-Za-z0-9:/._-]{1,256}").fullmatch
_RESOURCE = re.compile(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:.+|\*", re.DOTALL).fullmatch
_SURROGATE = re.compile("[\ud800-\udfff]").search


class PolicyError(ValueError):
    """A document that is no policy; the text says why."""


class _Number(str):
    """A number as it was written: a text where a condition wants one, and nowhere else."""

    __slots__ = ()


def parse_policy(
    text: str, *, has_principals: bool, has_resources: bool = True, bound: Pairs = ()
) -> Policy:
    """Return the policy that a JSON document is. Raises PolicyError.

    `has_principals` for what is attached to a resource, which says whom it is about;
    `has_resources` is False for trust policies, which are about their role; `bound` are the
    canonical ids behind the ARNs of principals, without which these allow nothing. The size of the
    document is the caller's to limit.
    """
    document = _read_json(text)
    _check_fields(document, _FIELDS)
    version = document.get("Version", "2008-10-17")
    if not isinstance(version, str) or version not in _VERSIONS:
        raise PolicyError("The policy must contain a valid version string")
    _text(document.get("Id", ""))
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list):
        raise PolicyError("Missing required field Statement")
    if not statements:
        raise PolicyError("Could not parse the policy: Statement is empty!")
    reader = _StatementReader(
        has_principals=has_principals,
        has_resources=has_resources,
        variables=version == _VERSION_WITH_VARIABLES,
        bound=dict(bound),
    )
    parsed = tuple(reader.read(statement) for statement in statements)
    sids = [statement.sid for statement in parsed if statement.sid]
    if len(sids) != len(set(sids)):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    return Policy(parsed)


def _read_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_Number,
            parse_int=_Number,
        )
    except PolicyError:
        raise
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise PolicyError("Policies must be valid JSON and the first byte must be '{'")
    return document


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise PolicyError("A field is given twice")
    return result


def _no_constant(name: str) -> None:
    raise PolicyError(f"{name} is not a value")


def _check_fields(document: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in document:
        if name not in known:
            raise PolicyError(f"Unknown field {_text(name)[:64]}")


def _text(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, _Number) or _SURROGATE(value):
        raise PolicyError("A text was expected, in valid Unicode")
    return value


def _texts(value: object) -> list[str]:
    """Return the texts of one, or of a list that is not empty."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise PolicyError("A list is empty")
    return [_text(one) for one in values]


class _StatementReader:
    def __init__(
        self,
        *,
        has_principals: bool,
        has_resources: bool,
        variables: bool,
        bound: Mapping[str, str],
    ) -> None:
        self._has_principals, self._has_resources = has_principals, has_resources
        self._variables, self._bound = variables, bound

    def read(self, statement: object) -> Statement:
        if not isinstance(statement, dict):
            raise PolicyError("A statement is an object")
        _check_fields(statement, _STATEMENT_FIELDS)
        effect = statement.get("Effect")
        if effect is None:
            raise PolicyError("Missing required field Effect")
        if effect not in ("Allow", "Deny"):
            raise PolicyError("Invalid effect: it is Allow or Deny")
        principals, not_principals = self._one_of(statement, "Principal", self._has_principals)
        if not_principals and effect == "Allow":
            raise PolicyError("Allow with NotPrincipal is not allowed")
        actions, not_actions = self._one_of(statement, "Action", True)
        resources, not_resources = self._one_of(statement, "Resource", self._has_resources)
        return Statement(
            allows=effect == "Allow",
            sid=_text(statement.get("Sid", "")),
            principals=_principals(principals, self._bound) if self._has_principals else None,
            not_principals=not_principals,
            actions=tuple(map(_action, _texts(actions))),
            not_actions=not_actions,
            resources=self._resources(resources) if self._has_resources else None,
            not_resources=not_resources,
            conditions=self._conditions(statement.get("Condition", {})),
        )

    def _one_of(self, statement: Mapping[str, Any], name: str, wanted: bool) -> tuple[Any, bool]:
        """Return the value of an element or of its opposite, and whether it is that one."""
        found = [one for one in (name, f"Not{name}") if one in statement]
        if not wanted:
            if found:
                raise PolicyError(f"Policy document should not specify a {name.lower()}.")
            return None, False
        if not found:
            raise PolicyError(f"Missing required field {name}")
        if len(found) == 2:
            raise PolicyError(f"{name} and Not{name} exclude each other")
        return statement[found[0]], found[0] != name

    def _resources(self, value: object) -> tuple[Pattern, ...]:
        texts = _texts(value)
        for text in texts:
            if not _RESOURCE(text):
                raise PolicyError("Policy has invalid resource")
        return tuple(Pattern(self._template(text)) for text in texts)

    def _template(self, text: str) -> Any:
        try:
            return read_template(text, variables=self._variables)
        except ValueError as error:
            raise PolicyError(f"Policy has invalid resource: {error}") from None

    def _conditions(self, block: object) -> tuple[Condition, ...]:
        if not isinstance(block, dict):
            raise PolicyError("Condition is an object")
        conditions = []
        for operator, keys in block.items():
            if not isinstance(keys, dict) or not keys:
                raise PolicyError("A condition operator takes an object of keys")
            lowered = [key.lower() for key in keys]
            if len(lowered) != len(set(lowered)):
                raise PolicyError("A condition key is given twice")
            conditions += [self._condition(operator, key, value) for key, value in keys.items()]
        return tuple(conditions)

    def _condition(self, operator: str, key: str, value: object) -> Condition:
        if not _text(key):
            raise PolicyError("Policy has an invalid condition key")
        values = value if isinstance(value, list) else [value]
        if not values:
            raise PolicyError("A condition key has no value")
        texts = list(map(_condition_value, values))
        try:
            condition = read_condition(operator, key, texts, variables=self._variables)
        except ValueError as error:
            raise PolicyError(f"Policy has an invalid condition value: {error}") from None
        if condition is None:
            raise PolicyError(f"Invalid Condition type : {_text(operator)[:64]}")
        return condition


def _condition_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, _Number) else _text(value)


def _action(text: str) -> Pattern:
    if not _ACTION(text):
        raise PolicyError("Policy has invalid action")
    return Pattern(read_template(text), ignores_case=True)


def _principals(value: object, bound: Mapping[str, str]) -> Principals:
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value:
        raise PolicyError("Invalid policy syntax: Principal is * or an object")
    _check_fields(value, frozenset({"AWS", "CanonicalUser", "Federated", "Service"}))
    aws = _texts(value["AWS"]) if "AWS" in value else []
    canonical = _texts(value["CanonicalUser"]) if "CanonicalUser" in value else []
    others = [
        text for kind in ("Federated", "Service") if kind in value for text in _texts(value[kind])
    ]
    arns, accounts = set(), set()
    for text in aws:
        found = _PRINCIPAL_ARN(text)
        if found is not None and found["iam"] == "root":
            accounts.add(found["account"])
        elif found is not None:
            arns.add(text)
        elif text != "*":
            accounts.add(text)
    legal = (
        all(map(_ACCOUNT, accounts)) and all(map(_CANONICAL_ID, canonical))
    ) and all(map(_OTHER, others))  # fmt: skip
    if not legal or any(map(_UNIQUE_ID, accounts)):
        raise PolicyError("Invalid principal in policy")
    ids = [bound[arn] for arn in arns if arn in bound and not arn.startswith(_SESSION)]
    return Principals(
        everyone="*" in aws,
        arns=frozenset(arns),
        accounts=frozenset(accounts),
        canonical_ids=frozenset([*canonical, *ids]),
        sessions=frozenset(
            (arn, bound[arn]) for arn in arns & bound.keys() if arn.startswith(_SESSION)
        ),
        others=frozenset(others),
    )
