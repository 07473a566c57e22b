"""The oracle of the kill tests: what a read may find, by the writes and the answers to them."""

from __future__ import annotations

import pytest

from tests.support.journal import Journal, Register, UnknownOutcome, Value


def write(journal: Journal, register: Register, value: Value) -> None:
    with journal.writing(register, values=lambda: (value,)):
        pass


def lose(journal: Journal, register: Register, value: Value) -> None:
    with pytest.raises(UnknownOutcome), journal.writing(register, values=lambda: (value,)):
        raise UnknownOutcome


def allowed(journal: Journal, register: Register) -> set[Value]:
    now = journal.now()
    return register.allowed(now, now)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def register(journal: Journal) -> Register:
    return journal.register("bucket", "key")


def test_key_is_absent_before_the_first_write(journal: Journal, register: Register) -> None:
    assert {None} == allowed(journal, register)


def test_acknowledged_write_supersedes_what_was_there(journal: Journal, register: Register) -> None:
    write(journal, register, 1)
    write(journal, register, 2)
    assert {2} == allowed(journal, register)


def test_deleted_key_may_not_come_back(journal: Journal, register: Register) -> None:
    lose(journal, register, 1)
    write(journal, register, 2)
    write(journal, register, None)
    assert {None, 1} == allowed(journal, register)  # the lost one may have been late
    journal.settle(register, None)
    assert {None} == allowed(journal, register)


def test_unknown_write_took_place_or_not(journal: Journal, register: Register) -> None:
    write(journal, register, 1)
    lose(journal, register, 2)
    assert {1, 2} == allowed(journal, register)


def test_refused_write_changed_nothing(journal: Journal, register: Register) -> None:
    write(journal, register, 1)
    with pytest.raises(LookupError), journal.writing(register, values=lambda: (2,)):
        raise LookupError
    assert {1} == allowed(journal, register)


def test_writes_at_the_same_time_may_come_in_any_order(
    journal: Journal, register: Register
) -> None:
    with journal.writing(register, values=lambda: (1,)):
        write(journal, register, 2)
    assert {1, 2} == allowed(journal, register)


def test_read_may_find_what_was_superseded_while_it_went_on(
    journal: Journal, register: Register
) -> None:
    write(journal, register, 1)
    with journal.reading() as begin:
        write(journal, register, 2)
        write(journal, register, 3)
        assert {1, 2, 3} == register.allowed(begin, journal.now())
    assert {3} == allowed(journal, register)


def test_read_may_not_find_what_was_written_after_it(journal: Journal, register: Register) -> None:
    write(journal, register, 1)
    with journal.reading() as begin:
        end = journal.now()
        write(journal, register, 2)
        assert {1} == register.allowed(begin, end)


def test_one_request_writes_several_registers(journal: Journal) -> None:
    registers = [journal.register("bucket", key) for key in "abc"]
    for register in registers:
        write(journal, register, 1)
    with journal.writing(*registers, values=lambda: (None,)):
        pass
    assert [{None}] * 3 == [allowed(journal, register) for register in registers]
    assert 6 == journal.acknowledged
