"""The blocking half of reading a large blob: verified bytes from whichever shards are whole."""

from __future__ import annotations

from itertools import pairwise

from s3server.data.base import CorruptError, MissingError, UnavailableError
from s3server.data.codec import ShardCodec, Span, shard_size
from s3server.data.layout import BLOCK, Shard
from s3server.data.osd_set import OsdSet
from s3server.data.shardfiles import ShardFileReader
from s3server.data.volumes import OnDamage
from s3server.model import DataRef


class BlobReader:
    """Reads one blob. Blocks; one thread at a time.

    Damage is found per stripe: blobs whose shards are all damaged, each elsewhere, are readable.
    """

    def __init__(
        self,
        ref: DataRef,
        codec: ShardCodec,
        osds: OsdSet,
        on_damage: OnDamage,
    ) -> None:
        self._ref = ref
        self._codec = codec
        self._osds = osds
        self._on_damage = on_damage
        self._shard_size = shard_size(codec, ref.size, ref.stripe)
        self._open: dict[int, ShardFileReader] = {}
        self._lost: set[int] = set()  # shards that cannot be opened
        self._reported: set[int] = set()

    def open_all(self) -> None:
        """Open every shard, so that the blob can be read to its end although it is deleted."""
        for index in range(len(self._ref.shards)):
            self._shard(index)

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes [start, stop); UnavailableError where too few shards are whole."""
        assert 0 <= start < stop <= self._ref.size
        stripe = self._ref.stripe
        parts = [
            self._read_stripe(number, max(start - number * stripe, 0), stop - number * stripe)
            for number in range(start // stripe, -(-stop // stripe))
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def afresh(self) -> BlobReader:
        """Return a reader for when this one is stuck; it has the same files open."""
        reader = BlobReader(self._ref, self._codec, self._osds, self._on_damage)
        reader._open, reader._lost = dict(self._open), set(self._lost)
        return reader

    def close(self) -> None:
        """Let go of the files; those that another thread still reads close after it."""
        self._open.clear()

    def check(self, *, deep: bool) -> list[str]:
        """Return the state of every shard; `deep`: all of it read."""
        return [self._check_shard(index, deep) for index in range(len(self._ref.shards))]

    def _check_shard(self, index: int, deep: bool) -> str:
        shard = self._shard(index)
        if shard is None:
            return "missing"
        try:
            shard.verify() if deep else shard.verify_trailer()
        except MissingError:
            return "missing"
        except CorruptError:
            return "corrupt"
        return "ok"

    def _read_stripe(self, number: int, start: int, stop: int) -> bytes:
        size = min(self._ref.stripe, self._ref.size - number * self._ref.stripe)
        stop = min(stop, size)
        bad: set[int] = set()
        while True:
            usable = [
                index
                for index in range(self._codec.total)
                if index not in bad and self._shard(index) is not None
            ]
            spans = self._codec.spans(usable, size, start, stop)
            if spans is not None:
                parts = self._fetch(number, spans, bad)
                if parts is not None:
                    return _joined(parts)
            elif len(usable) < self._codec.needed:
                return self._by_blocks(number, start, stop)
            else:
                whole = self._decode(number, usable[: self._codec.needed], size, bad)
                if whole is not None:
                    return whole[start:stop]

    def _decode(self, number: int, indexes: list[int], size: int, bad: set[int]) -> bytes | None:
        length = self._codec.fragment_size(size)
        parts = self._fetch(number, [Span(index, 0, length) for index in indexes], bad)
        if parts is None:
            return None
        fragments = {index: bytes(part) for index, part in zip(indexes, parts, strict=True)}
        try:
            return self._codec.decode(fragments, size)
        except CorruptError as error:
            raise UnavailableError(f"blob {self._ref.blob.hex()}: {error}") from error

    def _by_blocks(self, number: int, start: int, stop: int) -> bytes:
        """Read copies block by block: where none is whole, each block may still be so in one."""
        if self._codec.needed > 1 or start // BLOCK == (stop - 1) // BLOCK:
            raise UnavailableError(f"blob {self._ref.blob.hex()}: too few whole shards")
        edges = [start, *range(start // BLOCK * BLOCK + BLOCK, stop, BLOCK), stop]
        return b"".join(self._read_stripe(number, *pair) for pair in pairwise(edges))

    def _fetch(
        self, number: int, spans: list[Span], bad: set[int]
    ) -> list[bytes | memoryview] | None:
        """Return the spans of a stripe; None after adding a damaged shard to `bad`."""
        base = number * self._codec.fragment_size(self._ref.stripe)
        parts = []
        for index, start, stop in spans:
            shard = self._shard(index)
            if shard is None:  # its OSD has become silent
                bad.add(index)
                return None
            try:
                with self._osds.calling(self._ref.shards[index].osd):
                    parts.append(shard.read(base + start, base + stop))
            except (MissingError, CorruptError) as error:
                bad.add(index)
                self._report(index, "missing" if isinstance(error, MissingError) else "corrupt")
                return None
        return parts

    def _shard(self, index: int) -> ShardFileReader | None:
        """Return a shard, opened when it is first asked for; None where that cannot be done."""
        osd = self._osds.open.get(self._ref.shards[index].osd)
        if osd is None or index in self._lost or osd.id in self._osds.silent:
            return None
        if index not in self._open:
            shard = Shard(self._ref.blob, index, self._codec.name, self._shard_size)
            try:
                with self._osds.calling(osd.id):
                    self._open[index] = ShardFileReader(osd, shard)
            except MissingError:
                self._lost.add(index)
                self._report(index, "missing")
                return None
        return self._open[index]

    def _report(self, index: int, reason: str) -> None:
        if index not in self._reported and self._osds.is_whole(self._ref.shards[index].osd):
            self._reported.add(index)
            self._on_damage(self._ref, index, reason)


def _joined(parts: list[bytes | memoryview]) -> bytes:
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return parts[0]
    return b"".join(parts)
