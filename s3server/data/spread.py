"""Where the shards of one new blob go, and where else when an OSD fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from s3server.data.base import FullError, UnavailableError
from s3server.data.osd_set import OsdSet
from s3server.model import ABSENT, ShardPlace

# (blob id, OSDs that take no shard) -> the OSD of each shard, None where the rule finds none
Choose = Callable[[bytes, frozenset[int]], Sequence[int | None]]


class Spread:
    """The OSDs for `count` shards of a blob, of which at least `least` must be found.

    Its calls raise FullError where there would be enough OSDs if they had space, and
    UnavailableError where there would not, or where shards are lost that were begun already.
    Used by one thread at a time.
    """

    def __init__(
        self, blob: bytes, osds: OsdSet, choose: Choose, *, count: int, least: int
    ) -> None:
        self._blob, self._osds, self._choose = blob, osds, choose
        self._count, self._least = count, least
        self._failed: frozenset[int] = frozenset()
        chosen = self._usable(osds.avoid)
        self.targets: dict[int, int] = {
            index: osd for index, osd in enumerate(chosen[:count]) if osd is not None
        }
        self._check()

    def lose(self, lost: Collection[int]) -> None:
        """Take note that these shards cannot be written: their OSDs failed."""
        if lost:
            self._failed |= {self.targets.pop(index) for index in lost}
            self._check()

    def replace(self, lost: Collection[int]) -> dict[int, int]:
        """Take note that these OSDs failed; return on which others to begin their shards.

        The other shards stay where they are, so an OSD is found only where the rule has it
        beside theirs.
        """
        if not lost:
            return {}
        self._failed |= {self.targets.pop(index) for index in lost}
        chosen = self._usable(self._osds.avoid)
        stay = set(self.targets.values())
        begun: dict[int, int] = {}
        if stay.issubset(chosen):
            spare = [osd for osd in chosen if osd is not None and osd not in stay]
            begun = dict(zip(sorted(lost), spare, strict=False))
        self.targets |= begun
        self._check()
        return begun

    def shards(self, places: Mapping[int, ShardPlace]) -> tuple[ShardPlace, ...]:
        """Return where a blob's shards lie, for its DataRef; those without a place are ABSENT."""
        return tuple(places.get(index, ShardPlace(ABSENT)) for index in range(self._count))

    def _usable(self, avoid: frozenset[int]) -> Sequence[int | None]:
        """Return what the rule chooses of the OSDs that are open and none of these."""
        avoid |= self._failed
        while True:
            chosen = self._choose(self._blob, avoid)
            away = [osd for osd in chosen if osd is not None and osd not in self._osds.open]
            if not away:
                break
            avoid |= frozenset(away)
        if self._count < len(chosen):  # copies, which may take any place
            return [osd for osd in chosen if osd is not None]
        return chosen

    def _check(self) -> None:
        found = len(self.targets)
        if found >= self._least:
            return
        down, full = self._osds.down, self._osds.full
        self._failed -= full
        known = [f"OSD {osd}: {reason}" for osd, reason in sorted(down.items())]
        known += [f"OSD {osd} is full" for osd in sorted(full)]
        text = "; ".join([f"{found} OSDs for {self._count} shards of a blob", *known])
        if self._count_of(self._osds.avoid) < self._least <= self._count_of(frozenset(down)):
            raise FullError(text)
        raise UnavailableError(text)  # maybe of what had been written: another attempt may succeed

    def _count_of(self, avoid: frozenset[int]) -> int:
        return sum(osd is not None for osd in self._usable(avoid))


class Fixed:
    """The OSDs for some shards of a blob, none of which another one can take the place of."""

    def __init__(self, targets: Mapping[int, int], osds: OsdSet) -> None:
        self.targets, self._osds = targets, osds

    def lose(self, lost: Collection[int]) -> None:
        """Raise FullError or UnavailableError where a shard cannot be written."""
        if lost:
            failed = sorted(self.targets[index] for index in lost)
            kind = UnavailableError if self._osds.full.isdisjoint(failed) else FullError
            raise kind(f"OSD {failed[0]} did not take its shard")

    def replace(self, lost: Collection[int]) -> dict[int, int]:
        """Do as lose()."""
        self.lose(lost)
        return {}
