"""The weighted draw: its logarithm is exact, its shares follow the weights."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log2

from placement.cluster_map import ONE
from placement.straw2 import distances, draw

GOLDEN = {
    0: 281474976710656,
    2: 253592021524547,
    1000: 106130272278619,
    32766: 17593344856824,
    40000: 12530319602154,
    65534: 387273456,
    65535: 0,
}


def test_distance_is_exact_at_powers_of_two() -> None:
    expected = [(1 << 48) - (power << 44) for power in range(17)]
    assert expected == [distances()[(1 << power) - 1] for power in range(17)]


def test_distance_follows_its_formula() -> None:
    exact = [(1 << 48) - (1 << 44) * log2(u + 1) for u in range(1 << 16)]
    errors = [found - wanted for found, wanted in zip(distances(), exact, strict=True)]
    assert -1 < min(errors)
    assert max(errors) < 1 << 30


def test_distance_is_frozen() -> None:
    assert GOLDEN == {u: distances()[u] for u in GOLDEN}


def test_distance_never_rises() -> None:
    assert all(nearer <= farther for farther, nearer in pairwise(distances()))


def test_shares_follow_the_weights() -> None:
    weights = [ONE // 2, ONE, 2 * ONE, 4 * ONE, 0]
    items = list(enumerate(weights))
    inputs = 20_000
    wins = Counter(draw(items, x, 0) for x in range(inputs))
    total = sum(weights)
    expected = {item: inputs * weight / total for item, weight in items if weight}
    chi_square = sum((wins[item] - share) ** 2 / share for item, share in expected.items())
    assert 0 == wins[4]
    assert chi_square < 16.27  # p = 0.001 at three degrees of freedom


def test_raising_one_weight_moves_inputs_only_to_that_item() -> None:
    before = [(item, ONE) for item in range(6)]
    after = [(item, 2 * ONE if item == 3 else ONE) for item in range(6)]
    drawn = [(draw(before, x, 0), draw(after, x, 0)) for x in range(5_000)]
    moved = {new for old, new in drawn if old != new}
    assert {3} == moved


def test_nothing_is_drawn_where_nothing_has_weight() -> None:
    assert draw([(0, 0), (1, 0)], 5, 0) is None
    assert draw([], 5, 0) is None
