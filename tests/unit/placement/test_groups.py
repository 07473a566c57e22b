"""Placement groups."""

from __future__ import annotations

import pytest

from placement.groups import pg_of


def test_the_group_of_a_blob_is_frozen() -> None:
    assert 0xCBF43926 & 1023 == pg_of(b"123456789", 1024)  # the check value of CRC-32


def test_doubling_the_count_splits_each_group() -> None:
    blobs = [number.to_bytes(16, "big") for number in range(1000)]
    assert {0, 64} == {pg_of(blob, 128) - pg_of(blob, 64) for blob in blobs}


@pytest.mark.parametrize("count", [0, -2, 3, 100])
def test_the_number_of_groups_is_a_power_of_two(count: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        pg_of(b"x", count)
