"""Who may become a role: what its trust policy and the caller's own policies say together. Pure.

Source: "How permissions work for role assumption" and "Policy evaluation logic", AWS IAM user
guide: a trust policy that names the caller suffices in its own account; one that names the account,
or a caller of another, leaves it to the caller's own policies, which then have to allow it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Policy, Question, Verdict, evaluate
from s3server.auth.request_keys import RequestKeys
from s3server.model import Pairs, Principal

# Keys that a request to STS can have: one that is not there is absent, and not unknown.
_KNOWN = frozenset({
    "sts:externalid", "sts:rolesessionname", "sts:sourceidentity", "sts:transitivetagkeys",
    "sts:awsservicename", "aws:tagkeys", "sts:durationseconds",
    "x509:subject", "x509:issuer", "x509:limited",
})  # fmt: skip
_REQUEST_TAG = "aws:requesttag/"


class RoleKeys:
    """Condition keys of a request for a role; implements `wildcard.Keys`."""

    def __init__(
        self, keys: RequestKeys, more: Mapping[str, tuple[str, ...]], provider: str = ""
    ) -> None:
        self._keys, self._more, self._prefix = keys, more, f"{provider}:".lower()

    def find(self, key: str) -> tuple[str, ...] | None:
        """Return the values of a key; see `wildcard.Keys`."""
        found = self._more.get(key)
        if found is not None:
            return found
        is_ours = key in _KNOWN or key.startswith((_REQUEST_TAG, self._prefix))
        return () if is_ours else self._keys.find(key)


def tag_keys(tags: Pairs, transitive: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of session tags."""
    found: dict[str, tuple[str, ...]] = {
        _REQUEST_TAG + name.lower(): (value,) for name, value in tags
    }
    if tags:
        found["aws:tagkeys"] = tuple(name for name, _ in tags)
    if transitive:
        found["sts:transitivetagkeys"] = transitive
    return found


def trusts_principal(
    trust: Policy,
    principal: Principal,
    account: str,
    question: Question,
    own: OwnLaw | None,
) -> bool:
    """Return whether a principal may do to a role of `account`'s what the question asks."""
    said = evaluate([trust], question)
    said_to_itself = evaluate([trust], msgspec.structs.replace(question, who=question.who.itself))
    own_said = None if own is None else own.verdict(question)
    if principal.is_root or Verdict.DENY in (said, said_to_itself, own_said):
        return False
    if principal.account == account and said_to_itself is Verdict.ALLOW:
        return True
    return said is Verdict.ALLOW and own_said is Verdict.ALLOW


def trusts_provider(trust: Policy, question: Question) -> bool:
    """Return whether a role is for somebody whom a provider of identities vouches for."""
    return evaluate([trust], question) is Verdict.ALLOW
