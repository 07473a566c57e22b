"""Golden vectors: the hash may never change, stored data lies where it says.

The values were obtained from crush_hash32_2 and _3 of Debian's libceph-common 16.2.15.
"""

from __future__ import annotations

import pytest

from placement.hashing import hash2, hash3


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(0, 0, 430787817), (1, 2, 3079532188), (7, 0xFFFFFFFE, 2725215605)],
)
def test_hash_of_two_integers_is_frozen(a: int, b: int, expected: int) -> None:
    assert expected == hash2(a, b)


@pytest.mark.parametrize(
    ("a", "b", "c", "expected"),
    [
        (0, 0, 0, 2050749362),
        (1, 2, 3, 1935332395),
        (123456789, 0xFFFFFFF0, 49, 4130573165),
    ],
)
def test_hash_of_three_integers_is_frozen(a: int, b: int, c: int, expected: int) -> None:
    assert expected == hash3(a, b, c)


def test_negative_ids_hash_as_their_32_bit_complement() -> None:
    assert 2725215605 == hash2(7, -2)
    assert 4130573165 == hash3(123456789, -16, 49)
