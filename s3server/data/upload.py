"""The blocking half of writing a large blob: its bytes become blocks of shard files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

from s3server.data.appender import as_data_error
from s3server.data.base import UnavailableError
from s3server.data.buffers import BufferPool
from s3server.data.codec import ShardCodec, shard_size
from s3server.data.layout import BLOCK, PAGE, Shard, block_checksums, pages
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.shardfiles import ShardFileWriter
from s3server.data.workers import Fanout

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

    The lock makes abort() wait for a step that still runs in another thread after its caller was
    cancelled; a step that comes after abort() does nothing but raise.
    """

    def __init__(
        self,
        shards: Mapping[int, DirectoryOsd],
        *,
        codec: ShardCodec,
        blob: bytes,
        size: int,
        stripe: int,
        fanout: Fanout,
        buffers: BufferPool,
        replaces: bool = False,
    ) -> None:
        """Prepare; `shards` may be some of the blob's only, and may replace what lies there."""
        length = shard_size(codec, size, stripe)
        self._indexes = list(shards)
        self._writers = [
            ShardFileWriter(osd, Shard(blob, index, codec.name, length), replaces=replaces)
            for index, osd in shards.items()
        ]
        self._fanout = fanout
        self._lock = threading.Lock()
        self._is_over = False
        self._splitter: _Splitter = (
            _Copies(codec.total) if codec.needed == 1 else _Fragments(codec, size, stripe, buffers)
        )

    def open(self) -> None:
        """Create all files."""
        with self._lock:
            self._on_each([writer.open for writer in self._writers])

    def append(self, data: memoryview, count: int) -> None:
        """Write the next `count` bytes; those of `data` behind them are used for padding.

        All but the last call bring a whole number of stripes and of blocks.
        """
        with self._lock:
            for pieces in self._splitter.split(data, count):
                self._on_each(
                    [
                        partial(writer.write, *pieces[index])
                        for writer, index in zip(self._writers, self._indexes, strict=True)
                    ]
                )

    def commit(self) -> None:
        """Make all files durable and give them their places."""
        with self._lock:
            self._on_each([writer.commit for writer in self._writers])
            self._end()

    def abort(self) -> None:
        """Remove all files."""
        with self._lock:
            for writer in self._writers:
                writer.remove()
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._splitter.close()

    def _on_each(self, jobs: list[Callable[[], None]]) -> None:
        if self._is_over:
            raise UnavailableError("the upload was aborted")
        pairs = [(writer.osd.id, job) for writer, job in zip(self._writers, jobs, strict=True)]
        if errors := [error for error in self._fanout.run(pairs) if error]:
            raise as_data_error(errors)
