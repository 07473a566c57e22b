"""Every parser reads what is almost right: it says yes, or no in its own words, and nothing else.

More than 200,000 inputs here, 2,000,000 in the slow run, which follow from their seeds. What once
made a parser fail is kept in REGRESSIONS. Whole requests: tests/hardening/test_fuzz.py.
"""

from __future__ import annotations

import pytest

from tests.fuzz import auth, documents, names, stored, wire
from tests.fuzz.regressions import REGRESSIONS

TARGETS = {
    one.name: one
    for one in (*wire.TARGETS, *auth.TARGETS, *documents.TARGETS, *names.TARGETS, *stored.TARGETS)
}
SLOW = 10  # times as many
# Whose inputs are under a signature or a checksum: hardly any change is accepted.
SEALED = frozenset({"damaged records", "session tokens", "challenges", "certificates"})


def test_as_many_inputs_are_read_as_promised() -> None:
    assert 200_000 <= sum(one.inputs for one in TARGETS.values()) < 2_000_000
    assert SLOW * sum(one.inputs for one in TARGETS.values()) >= 2_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_accepted(name: str) -> None:
    target = TARGETS[name]
    assert [one for one in target.corpus if not target.accepts(one)] == []


@pytest.mark.parametrize("name", TARGETS)
def test_parser_says_yes_or_no(name: str) -> None:
    target = TARGETS[name]
    accepted = target.run(0, target.inputs)
    # So much shows that the changes get past the first checks.
    assert name in SEALED or accepted >= target.inputs / 200
    assert not target.refusals or accepted < target.inputs


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_parser_says_yes_or_no_two_million_times(name: str) -> None:
    target = TARGETS[name]
    target.run(1, SLOW * target.inputs)


@pytest.mark.parametrize("name", REGRESSIONS)
def test_what_once_failed_does_not(name: str) -> None:
    for data in REGRESSIONS[name]:
        TARGETS[name].accepts(data)
