"""Placement groups and the difference between two maps."""

from __future__ import annotations

import pytest

from placement.choose import Chooser, replicated
from placement.cluster_map import ONE
from placement.diff import changes, moved_shards
from placement.groups import pg_of, table
from placement.hashing import hash2
from tests.support.clusters import flat


def test_the_group_of_a_blob_is_frozen() -> None:
    assert 0xCBF43926 & 1023 == pg_of(b"123456789", 1024)  # the check value of CRC-32


def test_doubling_the_count_splits_each_group() -> None:
    blobs = [number.to_bytes(16, "big") for number in range(1000)]
    assert {0, 64} == {pg_of(blob, 128) - pg_of(blob, 64) for blob in blobs}


@pytest.mark.parametrize("count", [0, -2, 3, 100])
def test_the_number_of_groups_is_a_power_of_two(count: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        pg_of(b"x", count)
    with pytest.raises(ValueError, match="power of two"):
        table(flat(ONE), replicated(1, "osd"), count)


def test_the_table_chooses_by_group_and_pool() -> None:
    cluster, rule = flat(*[ONE] * 6), replicated(2, "osd")
    chooser = Chooser(cluster, rule)
    expected = tuple(chooser.choose(hash2(group, 7)) for group in range(32))
    assert expected == table(cluster, rule, 32, pool_id=7)
    assert expected != table(cluster, rule, 32, pool_id=8)


def test_replicas_that_change_ranks_do_not_move() -> None:
    assert () == changes(((1, 2, 3),), ((3, 1, 2),), positional=False)


def test_shards_that_change_positions_move() -> None:
    (change,) = changes(((1, 2, 3),), ((1, 3, None),), positional=True)
    assert ((2, 3), (3, None)) == change.moves


def test_replicas_are_paired_by_who_leaves_and_who_arrives() -> None:
    found = changes(((1, 2, 3), (4, 5)), ((2, 3, 7), (4, 5, 6)), positional=False)
    assert [(0, ((1, 7),)), (1, ((None, 6),))] == [(c.group, c.moves) for c in found]


def test_only_shards_with_a_destination_count_as_moved() -> None:
    assert 1 == moved_shards(((1, 2), (3, 4)), ((1,), (3, 5)), positional=False)


def test_tables_of_different_lengths_do_not_compare() -> None:
    with pytest.raises(ValueError, match="shorter"):
        changes(((1,), (2,)), ((1,),), positional=False)
