"""Parts of processes: small tasks of their own."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from s3server import parts
from s3server.meta.base import UnavailableError
from s3server.meta.memory import MemoryStore


class Untidy(MemoryStore):
    """Fails the first time it is to tidy up; the second time lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts, self.is_tried_again = 0, asyncio.Event()

    async def tidy(self) -> None:
        self.attempts += 1
        if self.attempts == 1:
            raise UnavailableError("no descriptor is free")
        self.is_tried_again.set()
        await asyncio.Event().wait()


async def test_tidying_that_fails_once_is_tried_again() -> None:
    """Else reader slots would fill up, and a disk once full would stay closed to uploads."""
    meta = Untidy()
    with capture_logs() as events:
        tidying = asyncio.create_task(parts.repeat(meta.tidy, 0))
        async with asyncio.timeout(60):
            await meta.is_tried_again.wait()
    tidying.cancel()
    assert ["upkeep failed"] == [each["event"] for each in events]
