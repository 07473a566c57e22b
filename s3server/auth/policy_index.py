"""Statements of policies found by action and by where their resources begin.

What `policy.evaluate` says of the same policies, in the time of those statements that can apply:
whether an action is among a statement's depends on nothing else, and is found out once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from s3server.auth.policy import Policy, Question, Statement, Verdict

_MOST_ACTIONS = 1_024  # kept; there are fewer that a request can ask for


class PolicyIndex:
    """Several policies as one."""

    __slots__ = ("_by_action", "_statements")

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._statements = [one for policy in policies for one in policy.statements]
        self._by_action: dict[str, tuple[_ByStart, _ByStart]] = {}

    def verdict(self, question: Question) -> Verdict:
        """Return what the policies say together: one deny outweighs all that allow."""
        denials, permissions = self._by_action.get(question.action) or self._find(question.action)
        if denials.applies(question):
            return Verdict.DENY
        return Verdict.ALLOW if permissions.applies(question) else Verdict.SILENT

    def _find(self, action: str) -> tuple[_ByStart, _ByStart]:
        about = [one for one in self._statements if one.is_about_action(action)]
        found = (
            _ByStart([one for one in about if not one.allows]),
            _ByStart([one for one in about if one.allows]),
        )
        if len(self._by_action) >= _MOST_ACTIONS:
            self._by_action.clear()
        self._by_action[action] = found
        return found


class _ByStart:
    """Statements about one action, by the text that their resources begin with."""

    __slots__ = ("_anywhere", "_tables")

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._anywhere: list[Statement] = []
        tables: defaultdict[int, dict[str, list[Statement]]] = defaultdict(dict)
        for statement in statements:
            if statement.resources is None or statement.not_resources:
                self._anywhere.append(statement)
                continue
            for start in {pattern.start for pattern in statement.resources}:
                tables[len(start)].setdefault(start, []).append(statement)
        # What names the resource most exactly is asked first.
        self._tables = sorted(tables.items(), reverse=True)

    def applies(self, question: Question) -> bool:
        """Return whether any of them does."""
        resource = question.resource
        for length, table in self._tables:
            for statement in table.get(resource[:length], ()):
                if statement.applies_to_resource(question):
                    return True
        if not self._anywhere:
            return False
        return any(statement.applies_to_resource(question) for statement in self._anywhere)
