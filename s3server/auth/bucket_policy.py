"""What a policy of a bucket must be beside a policy, and when it is public.

Sources: "Bucket policies" and "The meaning of public", Amazon S3 user guide.
"""

from __future__ import annotations

import ipaddress

from s3server.auth.actions import BUCKET_ACTIONS, OBJECT_ACTIONS
from s3server.auth.conditions import Condition
from s3server.auth.policy import Policy, Statement
from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.auth.wildcard import NO_KEYS, Pattern
from s3server.model import Pairs

MAX_BYTES = 20 * 1024
_ACTIONS = BUCKET_ACTIONS | OBJECT_ACTIONS
_NARROWING = frozenset({
    "aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:sourceaccount",
    "aws:sourcearn", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:userid",
    "aws:username",
})  # fmt: skip
_FIXED = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})
_WIDEST_IPV4, _WIDEST_IPV6 = 8, 32  # shorter prefixes of networks are as good as everybody


def parse_bucket_policy(text: str, bucket: str, bound: Pairs = ()) -> Policy:
    """Return the policy of a bucket; see `parse_policy`.

    Raises PolicyError where it is none, or has an action that S3 does not have, a resource outside
    of the bucket, or an action for none of its resources.
    """
    policy = parse_policy(text, has_principals=True, bound=bound)
    for statement in policy.statements:
        _check(statement, bucket)
    return policy


def _check(statement: Statement, bucket: str) -> None:
    arn = f"arn:aws:s3:::{bucket}"
    resources = statement.resources or ()
    for pattern in resources:
        if not (_may_be(pattern, arn) or _may_be_in(pattern, arn + "/")):
            raise PolicyError("Policy has invalid resource")
    for pattern in statement.actions:
        named = {action for action in _ACTIONS if pattern.matches(action, NO_KEYS)}
        if not named:
            raise PolicyError("Policy has invalid action")
        if statement.not_actions or statement.not_resources:
            continue
        on_bucket = named & BUCKET_ACTIONS and any(_may_be(one, arn) for one in resources)
        on_object = named & OBJECT_ACTIONS and any(_may_be_in(one, arn + "/") for one in resources)
        if not (on_bucket or on_object):
            raise PolicyError("Action does not apply to any resource(s) in statement")


def _may_be(pattern: Pattern, arn: str) -> bool:
    """Return whether the pattern may match exactly this; one with variables may where it begins."""
    matches = pattern.matches(arn, NO_KEYS)
    return arn.startswith(pattern.start) if matches is None else matches


def _may_be_in(pattern: Pattern, start: str) -> bool:
    """Return whether the pattern may match something that begins so."""
    fixed = pattern.start
    if pattern.is_fixed:
        return fixed.startswith(start) and fixed != start
    return fixed.startswith(start) or start.startswith(fixed)


def is_public(policy: Policy) -> bool:
    """Return whether a policy allows anything to whoever comes.

    It does not where each statement that allows names principals, or has a condition that fixes who
    or from where.
    """
    return any(
        statement.allows
        and (statement.principals is None or statement.principals.everyone)
        and not any(map(_narrows, statement.conditions))
        for statement in policy.statements
    )


def _narrows(condition: Condition) -> bool:
    if condition.key not in _NARROWING or condition.is_negated or condition.if_exists:
        return False
    if condition.quantifier == "ForAllValues":  # holds where the key is not there
        return False
    if condition.name == "IpAddress":
        return all(map(_is_narrow, condition.texts))
    is_fixed = not any(sign in text for text in condition.texts for sign in "*?$")
    return condition.name in _FIXED and is_fixed


def _is_narrow(text: str) -> bool:
    network = ipaddress.ip_network(text, strict=False)
    return network.prefixlen >= (_WIDEST_IPV4 if network.version == 4 else _WIDEST_IPV6)
