"""Statements of policies found by action and by where their resources begin.

What `policy.evaluate` says of the same policies, in the time of those statements that can apply:
whether an action is among a statement's depends on nothing else, and is found out once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from s3server.auth.policy import Policy, Question, Statement, Verdict

_MOST_ACTIONS = 1_024  # kept; there are fewer that a request can ask for


class PolicyIndex:
    """Several policies as one."""

    __slots__ = ("_by_action", "_statements")

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._statements = [one for policy in policies for one in policy.statements]
        self._by_action: dict[str, _About] = {}

    def verdict(self, question: Question) -> Verdict:
        """Return what the policies say together: one deny outweighs all that allow."""
        about = self._by_action.get(question.action) or self._find(question.action)
        denials, permissions = about.denials, about.permissions
        if denials is not None and denials.applies(question):
            return Verdict.DENY
        if permissions is not None and permissions.applies(question):
            return Verdict.ALLOW
        return Verdict.SILENT

    def about(self, action: str) -> list[Statement]:
        """Return the statements about an action."""
        return [one for one in self._statements if one.is_about_action(action)]

    def _find(self, action: str) -> _About:
        about = self.about(action)
        denying = [one for one in about if not one.allows]
        allowing = [one for one in about if one.allows]
        found = _About(
            _ByStart(denying) if denying else None,
            _ByStart(allowing) if allowing else None,
        )
        if len(self._by_action) >= _MOST_ACTIONS:
            self._by_action.clear()
        self._by_action[action] = found
        return found


class _ByStart:
    """Statements about one action, by the text that their resources begin with."""

    __slots__ = ("_anywhere", "_exact", "_tables")

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._anywhere: list[Statement] = []
        self._exact: defaultdict[str, list[Statement]] = defaultdict(list)
        tables: defaultdict[int, dict[str, list[Statement]]] = defaultdict(dict)
        for statement in statements:
            if statement.resources is None or statement.not_resources:
                self._anywhere.append(statement)
                continue
            for start in {one.start for one in statement.resources if not one.is_fixed}:
                tables[len(start)].setdefault(start, []).append(statement)
            for name in {one.start for one in statement.resources if one.is_fixed}:
                self._exact[name].append(statement)
        self._tables = list(tables.items())

    def applies(self, question: Question) -> bool:
        """Return whether any of them does."""
        resource = question.resource
        for statement in self._exact.get(resource, ()):
            if statement.applies_to_resource(question):
                return True
        for length, table in self._tables:
            for statement in table.get(resource[:length], ()):
                if statement.applies_to_resource(question):
                    return True
        if not self._anywhere:
            return False
        return any(statement.applies_to_resource(question) for statement in self._anywhere)


class _About(NamedTuple):
    """What there is about one action."""

    denials: _ByStart | None
    permissions: _ByStart | None
