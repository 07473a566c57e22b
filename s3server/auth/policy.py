"""Policies: what they say to one question. Pure; shared by bucket, identity and session policies.

Source: "Policy evaluation logic" and "IAM JSON policy elements reference", AWS IAM user guide. A
statement that cannot be decided (see `conditions`) permits nothing and denies all it may be about.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from s3server.auth.conditions import Condition, all_of, any_of
from s3server.auth.wildcard import NO_KEYS, Keys, Pattern


class Verdict(Enum):
    """What a policy says to a question."""

    DENY = "deny"
    ALLOW = "allow"
    SILENT = "silent"


class Requester(msgspec.Struct, frozen=True):
    """A principal as policies name it."""

    arns: tuple[str, ...] = ()  # its own, then that of the role behind it
    account: str = ""
    canonical_id: str = ""
    providers: tuple[str, ...] = ()  # of identities, that vouch for it
    service: str = ""  # of AWS's, whose part the server itself plays: "logging.s3.amazonaws.com"

    @property
    def itself(self) -> Requester:
        """The same, but for what is said of the whole account: that leaves it to its policies."""
        return msgspec.structs.replace(self, account="")


NOBODY = Requester()


class Question(msgspec.Struct, frozen=True):
    """May `who` do `action` to `resource`?"""

    who: Requester
    action: str  # "s3:GetObject"
    resource: str  # ARN
    keys: Keys


class Principals(msgspec.Struct, frozen=True):
    """Whom a statement is about.

    ARNs are names, which others may have later: what they stood for when the policy was put is
    among `canonical_ids`, for sessions of roles `sessions`.
    """

    everyone: bool = False
    arns: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    canonical_ids: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()  # services and identity providers
    sessions: frozenset[tuple[str, str]] = frozenset()  # ARN, and canonical id of the role

    def include(self, who: Requester, *, by_name: bool) -> bool:
        """Return whether `who` is among them; `by_name` where it has a name of theirs now, too."""
        if self.everyone:
            return True
        if self.sessions and any((arn, who.canonical_id) in self.sessions for arn in who.arns):
            return True
        return (
            (by_name and not self.arns.isdisjoint(who.arns))
            or (who.account != "" and who.account in self.accounts)
            or (who.canonical_id != "" and who.canonical_id in self.canonical_ids)
            or not self.others.isdisjoint(who.providers)
            or (who.service != "" and who.service in self.others)
        )


class Statement(msgspec.Struct, frozen=True):
    """One statement. Where `not_…` is set, it is about all but what is listed."""

    allows: bool
    actions: tuple[Pattern, ...]
    sid: str = ""
    principals: Principals | None = None  # None in a policy of an identity: whoever has it
    resources: tuple[Pattern, ...] | None = None  # None in a trust policy: the role it is of
    conditions: tuple[Condition, ...] = ()
    not_actions: bool = False
    not_principals: bool = False
    not_resources: bool = False

    def applies(self, question: Question) -> bool:
        """Return whether the statement has its effect on this question."""
        if not self.is_about_action(question.action):
            return False
        return self.applies_to_resource(question)

    def is_about_action(self, action: str) -> bool:
        """Return whether the action is among those that it is about."""
        acts = any(pattern.matches(action, NO_KEYS) for pattern in self.actions)
        return acts != self.not_actions

    def applies_to_resource(self, question: Question) -> bool:
        """Return whether it has its effect, where it is about the action."""
        keys = question.keys
        if not self.is_about(question.who):
            return False
        if self.resources is not None:
            named: bool | None
            if len(self.resources) == 1:
                named = self.resources[0].matches(question.resource, keys)
            else:
                named = any_of([one.matches(question.resource, keys) for one in self.resources])
            if named is None:  # a variable without value: a resource of that name there is not
                named = self.allows and self.not_resources
            if named == self.not_resources:
                return False
        if not self.conditions:
            return True
        holds: bool | None
        if len(self.conditions) == 1:
            holds = self.conditions[0].holds(keys)
        else:
            holds = all_of([condition.holds(keys) for condition in self.conditions])
        return not self.allows if holds is None else holds

    def is_about(self, who: Requester) -> bool:
        """Return whether `who` is among those that it is about.

        A name alone denies and neither allows nor exempts from a denial.
        """
        if self.principals is None:
            return True
        by_name = not (self.allows or self.not_principals)
        return self.principals.include(who, by_name=by_name) != self.not_principals


class Policy(msgspec.Struct, frozen=True):
    """A policy document."""

    statements: tuple[Statement, ...]

    @property
    def named(self) -> frozenset[str]:
        """The ARNs of principals that it has."""
        listed = [one.principals.arns for one in self.statements if one.principals is not None]
        return frozenset[str]().union(*listed)


def evaluate(policies: Iterable[Policy], question: Question) -> Verdict:
    """Return what the policies say together: one deny outweighs all that allow."""
    verdict = Verdict.SILENT
    for policy in policies:
        for statement in policy.statements:
            if verdict is Verdict.ALLOW and statement.allows:
                continue
            if statement.applies(question):
                if not statement.allows:
                    return Verdict.DENY
                verdict = Verdict.ALLOW
    return verdict
