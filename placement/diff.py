"""What a new map changes: which groups, and which devices get or lose a shard in each."""

from __future__ import annotations

from dataclasses import dataclass

from placement.groups import Table


@dataclass(frozen=True, slots=True)
class Change:
    """One group whose shards belong elsewhere now.

    `positional` (indep) compares position by position, since every shard is another piece;
    otherwise (firstn) copies are equal and only the set of devices matters.
    """

    group: int
    before: tuple[int | None, ...]
    after: tuple[int | None, ...]
    positional: bool

    @property
    def moves(self) -> tuple[tuple[int | None, int | None], ...]:
        """Return (from, to) per shard: `from` None is a new shard, `to` None a dropped one."""
        if self.positional:
            return tuple((a, b) for a, b in _pairs(self.before, self.after) if a != b)
        leaving = tuple(device for device in self.before if device not in self.after)
        arriving = tuple(device for device in self.after if device not in self.before)
        return _pairs(leaving, arriving)


def changes(before: Table, after: Table, *, positional: bool) -> tuple[Change, ...]:
    """Return the groups that change. ValueError if the tables are of different lengths."""
    found = (
        Change(group, old, new, positional)
        for group, (old, new) in enumerate(zip(before, after, strict=True))
        if old != new
    )
    return tuple(change for change in found if change.moves)


def moved_shards(before: Table, after: Table, *, positional: bool) -> int:
    """Return how many shards have to be written to a device that does not hold them."""
    found = changes(before, after, positional=positional)
    return sum(to is not None for change in found for _, to in change.moves)


def _pairs(
    first: tuple[int | None, ...], second: tuple[int | None, ...]
) -> tuple[tuple[int | None, int | None], ...]:
    length = max(len(first), len(second))
    padded_first = first + (None,) * (length - len(first))
    padded_second = second + (None,) * (length - len(second))
    return tuple(zip(padded_first, padded_second, strict=True))
