"""The blocking half of reading a large blob: verified bytes from whichever shards are whole."""

from __future__ import annotations

from itertools import pairwise

from s3server.data.base import CorruptError, MissingError, UnavailableError
from s3server.data.codec import ShardCodec, Span, shard_size
from s3server.data.layout import BLOCK, Shard
from s3server.data.open_shards import OpenShards
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.shardfiles import ShardFileReader
from s3server.data.volumes import OnDamage
from s3server.model import DataRef


class BlobReader:
    """Reads one blob. Blocks; one thread at a time.

    Damage is found per stripe: blobs whose shards are all damaged, each elsewhere, are readable.
    With `files` it reads those that are open already, and leaves what it opens there.
    """

    def __init__(
        self,
        ref: DataRef,
        codec: ShardCodec,
        osds: OsdSet,
        on_damage: OnDamage,
        files: OpenShards | None = None,
    ) -> None:
        self._ref = ref
        self._files = files
        self._codec = codec
        self._osds = osds
        self._on_damage = on_damage
        self._shard_size = shard_size(codec, ref.size, ref.stripe)
        self._open: dict[int, ShardFileReader] = {}
        self._opened: set[int] = set()  # of those, what was not open before
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

    def read_cached(self, start: int, stop: int) -> bytes | None:
        """Do the same where open files and the page cache have it, else return None. Never blocks.

        What it finds damaged is met again, and reported, by read().
        """
        assert self._files is not None
        found = self._found(self._files)
        ref, stripe, fragment = self._ref, self._ref.stripe, self._codec.fragment_size
        parts: list[bytes | memoryview] = []
        for number in range(start // stripe, -(-stop // stripe)):
            begin = number * stripe
            size = min(stripe, ref.size - begin)
            first, last = max(start - begin, 0), min(stop - begin, size)
            spans = self._codec.spans(found, size, first, last)
            if spans is None:
                return None
            base = number * fragment(stripe)
            for index, low, high in spans:
                try:
                    part = found[index].read_cached(base + low, base + high)
                except (MissingError, CorruptError):
                    return None
                if part is None:
                    return None
                parts.append(part)
        return b"".join(parts)

    def _found(self, files: OpenShards) -> dict[int, ShardFileReader]:
        """Return the shards that are open, and on OSDs that answer."""
        found = {}
        for index, place in enumerate(self._ref.shards):
            osd = self._osds.open.get(place.osd)
            if osd is not None and place.osd not in self._osds.silent:
                reader = files.find(osd, self._ref.blob, index)
                if reader is not None:
                    found[index] = reader
        return found

    def afresh(self) -> BlobReader:
        """Return a reader for when this one is stuck; it has the same files open."""
        reader = BlobReader(self._ref, self._codec, self._osds, self._on_damage, self._files)
        reader._open, reader._lost = dict(self._open), set(self._lost)
        reader._opened = set(self._opened)
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
                if index in self._opened:
                    bad.add(index)
                    self._report(index, "missing" if isinstance(error, MissingError) else "corrupt")
                else:  # it was opened long ago: another file may lie there since, repaired
                    self._open_anew(shard.osd, index)
                return None
        return parts

    def _shard(self, index: int) -> ShardFileReader | None:
        """Return a shard, opened when it is first asked for; None where that cannot be done."""
        osd = self._osds.open.get(self._ref.shards[index].osd)
        if osd is None or index in self._lost or osd.id in self._osds.silent:
            return None
        if index not in self._open:
            reader = self._files.find(osd, self._ref.blob, index) if self._files else None
            if reader is None:
                self._open_anew(osd, index)
            else:
                self._open[index] = reader
        return self._open.get(index)

    def _open_anew(self, osd: DirectoryOsd, index: int) -> None:
        shard = Shard(self._ref.blob, index, self._codec.name, self._shard_size)
        self._opened.add(index)
        self._open.pop(index, None)
        opened = self._files.open if self._files else ShardFileReader
        try:
            with self._osds.calling(osd.id):
                self._open[index] = opened(osd, shard)
        except MissingError:
            self._lost.add(index)
            self._report(index, "missing")

    def _report(self, index: int, reason: str) -> None:
        if index not in self._reported and self._osds.is_whole(self._ref.shards[index].osd):
            self._reported.add(index)
            self._on_damage(self._ref, index, reason)


def _joined(parts: list[bytes | memoryview]) -> bytes:
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return parts[0]
    return b"".join(parts)
