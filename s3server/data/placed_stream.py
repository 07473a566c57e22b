"""A large blob piece by piece, the next one being read while the last one is sent."""

from __future__ import annotations

import asyncio

from s3server.data.placed_read import BlobReader
from s3server.data.threads import HungError
from s3server.data.workers import Workers


class BlobStream:
    """Reads one blob in turn. What is stuck in an OSD is read again without it."""

    def __init__(self, blob: BlobReader, workers: Workers) -> None:
        self._blob, self._workers = blob, workers
        self._ahead: asyncio.Future[bytes] | None = None
        self._span = (0, 0)

    async def open(self) -> None:
        """Open every shard, so that the blob can be read to its end although it is deleted."""
        while True:
            try:
                return await self._workers.run(self._blob.open_all)
            except HungError:
                self._blob = self._blob.afresh()

    def read_ahead(self, start: int, stop: int) -> None:
        """Begin to read bytes [start, stop)."""
        self._span = (start, stop)
        self._ahead = self._workers.start(self._blob.read, start, stop)

    async def read(self) -> bytes:
        """Return what was asked for last; UnavailableError where too few shards are whole."""
        while True:
            assert self._ahead is not None, "read_ahead() comes first"
            try:
                return await self._ahead
            except HungError:
                self._blob = self._blob.afresh()
                self.read_ahead(*self._span)

    async def close(self) -> None:
        """Let go of the files, after what is being read."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
        self._blob.close()
