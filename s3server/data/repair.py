"""Which shards of a blob are to be written again, and the bytes for them: the blob itself.

A blob is repaired by writing it once more, but only those of its shards that are lost, damaged,
or lie elsewhere than the map says. Its id and the place of every other shard stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3server.data.placed_read import BlobReader
from s3server.data.workers import Workers
from s3server.model import ABSENT, ShardPlace


def shards_to_write(
    shards: Sequence[ShardPlace],
    is_whole: Sequence[bool],
    targets: Sequence[int],
    *,
    are_copies: bool,
) -> dict[int, int]:
    """Return on which OSD each shard is to be written that is not whole where it should be.

    `targets` are the OSDs that the map gives for the shards; ABSENT or none: it has none now, so
    a whole shard stays where it is. Copies may change places with each other, the shards of a
    code may not. No OSD is ever given two shards of a blob.
    """
    wanted = [*targets, *[ABSENT] * len(shards)][: len(shards)]
    if are_copies:
        wanted = _sorted_like(shards, is_whole, wanted)
    stays = {
        place.osd
        for place, whole, target in zip(shards, is_whole, wanted, strict=True)
        if whole and target in (place.osd, ABSENT)
    }
    return {
        index: target
        for index, (place, whole, target) in enumerate(zip(shards, is_whole, wanted, strict=True))
        if target != ABSENT and not (whole and target == place.osd) and target not in stays
    }


def _sorted_like(
    shards: Sequence[ShardPlace], is_whole: Sequence[bool], targets: Sequence[int]
) -> list[int]:
    """Return the targets in an order in which copies stay, and lost ones are served first."""
    free = [target for target in targets if target != ABSENT]
    wanted = [ABSENT] * len(shards)
    for stays in (True, False):  # a damaged one too is replaced where it lies
        for index, (place, whole) in enumerate(zip(shards, is_whole, strict=True)):
            if whole == stays and place.osd in free:
                free.remove(place.osd)
                wanted[index] = place.osd
    for lost_ones in (True, False):
        for index, whole in enumerate(is_whole):
            if wanted[index] == ABSENT and whole != lost_ones and free:
                wanted[index] = free.pop(0)
    return wanted


class BlobSource:
    """The verified bytes of a stored blob, as `model.Source`."""

    def __init__(self, blob: BlobReader, size: int, workers: Workers) -> None:
        self.size = size
        self._blob, self._workers, self._at = blob, workers, 0

    async def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; UnavailableError where too few shards are whole."""
        start, stop = self._at, min(self._at + len(buffer), self.size)
        if start < stop:
            await self._workers.run(self._read_into, buffer, start, stop)
        self._at = stop
        return stop - start

    def _read_into(self, buffer: memoryview, start: int, stop: int) -> None:
        buffer[: stop - start] = self._blob.read(start, stop)
