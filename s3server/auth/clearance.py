"""Which objects of a bucket of its own account a principal surely may do something to.

What policies say of one object after the other differs by the object's name alone, for as long as
who asks, the action and the connection are the same. Held against these once, of all statements
there are left names: those that one surely allows, and those that one may deny. Conditions on
anything else are undecided then, in the evaluator's own three-valued logic: they allow nothing, and
deny all that the statement may be about. So a clearance says yes where the policies do, or nothing.

It may stand for the decision as `authorise` asks, of a principal in its own account, for no more
than this: one policy that allows, and none that denies (tests/property/test_clearance.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from s3server.auth.conditions import all_of
from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Requester, Statement
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.wildcard import NO_KEYS, Keys, Pattern


class Situation(msgspec.Struct, frozen=True):
    """What stays the same from one object to the next."""

    who: Requester  # of the bucket's account, not root
    action: str  # on objects
    within: str  # ARN of the bucket and "/"
    keys: Keys  # those that the connection has; all others are unknown


class Clearance(msgspec.Struct, frozen=True):
    """What is left of policies for one situation."""

    allowed: Names
    denied: Names
    limits: tuple[Names, ...]  # each has to allow it

    def permits(self, resource: str) -> bool:
        """Return whether the object with this ARN is cleared; if not, nothing follows from it."""
        if resource not in self.allowed or resource in self.denied:
            return False
        return all(resource in limit for limit in self.limits) if self.limits else True


def clear(own: OwnLaw | None, there: PolicyIndex | None, case: Situation) -> Clearance:
    """Return what is left of a principal's own policies and of the bucket's."""
    is_bound = own is not None and own.is_bound
    # Where the bucket's policy permits something to its account as such, own policies have to, too.
    named = case.who.itself if is_bound else case.who
    policies, limits = (None, ()) if own is None else (own.policies, own.limits)
    allowing = [*_surely(policies if is_bound else None, case.who, case)]
    denying = [pattern for one in (policies, *limits) for pattern in _perhaps(one, case.who, case)]
    for who in (case.who, named):
        denying += _perhaps(there, who, case)
    return Clearance(
        Names([*allowing, *_surely(there, named, case)], case.within),
        Names(denying, case.within),
        tuple([Names(_surely(limit, case.who, case), case.within) for limit in limits]),
    )


def _surely(index: PolicyIndex | None, who: Requester, case: Situation) -> Iterator[Pattern]:
    """Yield names that something allows, whatever else is known."""
    for statement in _about(index, who, case, allows=True):
        if _holds(statement, case) and not statement.not_resources:
            yield from (one for one in statement.resources or () if not one.has_variables)


def _perhaps(index: PolicyIndex | None, who: Requester, case: Situation) -> Iterator[Pattern]:
    """Yield names that something may deny."""
    for statement in _about(index, who, case, allows=False):
        if _holds(statement, case) is False:
            continue
        if statement.resources is None or statement.not_resources:
            yield Pattern.all_from("")
        else:
            for one in statement.resources:
                yield Pattern.all_from(one.start) if one.has_variables else one


def _about(
    index: PolicyIndex | None, who: Requester, case: Situation, *, allows: bool
) -> list[Statement]:
    statements = [] if index is None else index.about(case.action)
    return [one for one in statements if one.allows is allows and one.is_about(who)]


def _holds(statement: Statement, case: Situation) -> bool | None:
    return all_of(condition.holds(case.keys) for condition in statement.conditions)


class Names:
    """Names in a bucket by patterns without variables: most are names, or what begins so."""

    __slots__ = ("_exact", "_has_all", "_others", "_starts")

    def __init__(self, patterns: Iterable[Pattern], within: str) -> None:
        exact, starts = set(), defaultdict(set)
        self._others: list[Pattern] = []
        self._has_all = False
        for pattern in patterns:
            start = pattern.start
            if pattern.is_fixed:
                exact.add(start)
            elif not (start.startswith(within) or within.startswith(start)):
                continue
            elif not pattern.is_all_from_start:
                self._others.append(pattern)
            elif within.startswith(start):
                self._has_all = True
            else:
                starts[len(start)].add(start)
        self._exact = frozenset(exact)
        self._starts = [(length, frozenset(texts)) for length, texts in starts.items()]

    def __contains__(self, name: str) -> bool:
        if self._has_all or name in self._exact:
            return True
        for length, starts in self._starts:
            if name[:length] in starts:
                return True
        if not self._others:
            return False
        return any(pattern.matches(name, NO_KEYS) for pattern in self._others)
