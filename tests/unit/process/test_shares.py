"""When a worker leaves a connection to others."""

from __future__ import annotations

import os

import pytest

from s3server.process.shares import ABSENT, Shares


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5], False),
        ([5, 5], False),
        ([7, 5], False),
        ([8, 5], True),
        ([5, 8], False),
        ([100, 94], False),
        ([110, 94], True),
        ([50, ABSENT], False),
        ([50, 60, 20], True),
    ],
)
def test_worker_is_ahead_where_another_has_clearly_less(counts: list[int], expected: bool) -> None:
    shares = Shares.create()
    for slot, count in enumerate(counts):
        shares.put(slot, count)
    seen_by_another_process = Shares(os.dup(shares.descriptor))

    assert seen_by_another_process.is_ahead(0) == expected
