"""The blocking half of writing a large blob: its bytes become blocks of shard files."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from s3server.data.base import UnavailableError
from s3server.data.buffers import BufferPool
from s3server.data.codec import ShardCodec, shard_size
from s3server.data.layout import BLOCK, PAGE, Shard, block_checksums, pages
from s3server.data.osd_set import OsdSet
from s3server.data.shardfiles import ShardFileWriter
from s3server.data.spread import Fixed, Spread
from s3server.data.workers import Fanout
from s3server.model import ShardPlace

Piece = tuple[memoryview, list[int]]  # aligned bytes for one shard, checksums of its blocks


class _Splitter(Protocol):
    def split(self, data: memoryview, count: int) -> Iterator[list[Piece]]: ...

    def close(self) -> None: ...


class _Copies:
    """Every shard is given the same memory, whose checksums are computed once."""

    def __init__(self, total: int) -> None:
        self._total = total

    def split(self, data: memoryview, count: int) -> Iterator[list[Piece]]:
        """Yield the next piece of every shard. `data` is longer than `count` by its padding."""
        padded = pages(count) * PAGE
        data[count:padded] = bytes(padded - count)
        whole = data[:padded]
        yield [(whole, block_checksums(whole))] * self._total

    def close(self) -> None: ...


class _Fragments:
    """Stripes are encoded; each shard's fragments gather in an aligned buffer of its own."""

    def __init__(self, codec: ShardCodec, size: int, stripe: int, buffers: BufferPool) -> None:
        self._codec = codec
        self._left = size
        self._stripe = stripe
        self._pool = buffers
        room = -(-(codec.fragment_size(stripe) + BLOCK) // BLOCK) * BLOCK
        self._staged = [buffers.take(room) for _ in range(codec.total)]
        self._fill = 0

    def split(self, data: memoryview, count: int) -> Iterator[list[Piece]]:
        """Yield the next piece of every shard: whole blocks, until the last one."""
        for at in range(0, count, self._stripe):
            stripe = data[at : min(at + self._stripe, count)]
            self._left -= len(stripe)
            fragments = self._codec.encode(stripe)
            fill = self._fill + len(fragments[0])
            for staged, fragment in zip(self._staged, fragments, strict=True):
                staged[self._fill : fill] = fragment
            ready = fill // BLOCK * BLOCK if self._left else pages(fill) * PAGE
            pieces = []
            for staged in self._staged:
                staged[fill:ready] = bytes(max(ready - fill, 0))
                view = memoryview(staged)[:ready]
                pieces.append((view, block_checksums(view)))
            if ready:
                yield pieces
            self._fill = max(fill - ready, 0)
            for staged in self._staged:
                staged[: self._fill] = staged[ready : ready + self._fill]

    def close(self) -> None:
        for staged in self._staged:
            self._pool.give(staged)
        self._staged = []


class BlobUpload:
    """The shard files of one blob. Every method blocks; all but abort() raise DataErrors.

    A shard whose OSD fails before it took a byte is begun on another one. Later its bytes are
    gone, so it is lost: the blob lacks it. `spread` raises where too many are.

    The lock makes abort() wait for a step that still runs in another thread after its caller was
    cancelled; a step that comes after abort() does nothing but raise.
    """

    def __init__(
        self,
        spread: Spread | Fixed,
        osds: OsdSet,
        *,
        codec: ShardCodec,
        blob: bytes,
        size: int,
        stripe: int,
        fanout: Fanout,
        buffers: BufferPool,
        replaces: bool = False,
    ) -> None:
        """Prepare. `spread` may be of some shards only; `replaces`: of what lies there already."""
        self._replaces = replaces
        self._spread, self._osds = spread, osds
        self._shard = partial(Shard, blob, codec=codec.name, size=shard_size(codec, size, stripe))
        self._writers: dict[int, ShardFileWriter] = {}
        self._lost: list[ShardFileWriter] = []
        self._begin(spread.targets)
        self._fanout = fanout
        self._lock = threading.Lock()
        self._offered: deque[tuple[memoryview, int]] = deque()
        self._is_over = False
        self._splitter: _Splitter = (
            _Copies(codec.total) if codec.needed == 1 else _Fragments(codec, size, stripe, buffers)
        )

    @property
    def places(self) -> dict[int, ShardPlace]:
        """Where the shards lie that were not lost, by their indexes."""
        return {index: ShardPlace(writer.osd.id) for index, writer in self._writers.items()}

    def open(self) -> None:
        """Create all files."""
        with self._lock:
            self._on_each(ShardFileWriter.open)

    def offer(self, data: memoryview, count: int) -> None:
        """Take note of the next `count` bytes; those of `data` behind them are used for padding.

        All but the last call bring a whole number of stripes and of blocks. Does not block.
        """
        self._offered.append((data, count))

    def append(self) -> None:
        """Write the next of the bytes that were offered; to be called once for each offer.

        They are written in the order of the offers, whichever thread of several comes first.
        """
        with self._lock:
            data, count = self._offered.popleft()
            for pieces in self._splitter.split(data, count):
                self._on_each(partial(_write_piece, pieces))

    def commit(self) -> None:
        """Make all files durable and give them their places."""
        with self._lock:
            self._on_each(ShardFileWriter.commit)
            self._remove(self._lost)
            self._end()

    def abort(self) -> None:
        """Remove all files."""
        with self._lock:
            self._remove([*self._writers.values(), *self._lost])
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._splitter.close()

    def _begin(self, targets: Mapping[int, int]) -> list[ShardFileWriter]:
        begun = [
            ShardFileWriter(self._osds.open[osd], self._shard(index=index), replaces=self._replaces)
            for index, osd in targets.items()
        ]
        self._writers.update({writer.index: writer for writer in begun})
        return begun

    def _on_each(self, step: Callable[[ShardFileWriter], None]) -> None:
        """Take a step with every shard; one that fails goes elsewhere while it is empty."""
        if self._is_over:
            raise UnavailableError("the upload was aborted")
        due = list(self._writers.values())
        while due:
            lost = self._run(step, due)
            for writer in lost:
                self._lost.append(self._writers.pop(writer.index))
            self._spread.lose([writer.index for writer in lost if not writer.is_empty])
            due = self._begin(
                self._spread.replace([writer.index for writer in lost if writer.is_empty])
            )

    def _run(
        self, step: Callable[[ShardFileWriter], None], writers: Sequence[ShardFileWriter]
    ) -> list[ShardFileWriter]:
        """Take a step with these shards and return those whose OSDs failed."""
        errors = self._fanout.run([(writer.osd.id, partial(step, writer)) for writer in writers])
        lost = []
        for writer, error in zip(writers, errors, strict=True):
            if error is not None:
                self._osds.failed(writer.osd.id, error)
                lost.append(writer)
        return lost

    def _remove(self, writers: Sequence[ShardFileWriter]) -> None:
        if writers:
            self._fanout.run([(writer.osd.id, writer.remove) for writer in writers])


def _write_piece(pieces: Sequence[Piece], writer: ShardFileWriter) -> None:
    writer.open()  # where it was begun with this piece
    writer.write(*pieces[writer.index])
