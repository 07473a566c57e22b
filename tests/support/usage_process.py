"""A process that counts what was used, as fast as it can, and is killed while it does.

    python tests/support/usage_process.py METADATA USAGE CLOCK

For each line on its input, some seconds, it starts such a process, kills it (SIGKILL) so long after
its first step, and answers with a line. CLOCK is a file with the time, in milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from s3server.jobs import usage
from s3server.meta.base import ConflictError
from s3server.meta.lmdb import LmdbStore

SCOPES_PER_STEP = 2  # so that what is held is counted in several commits


class FileClock:
    """Tells the time that stands in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now_ms(self) -> int:
        return int(self._file.read_text())

    def set(self, now_ms: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(now_ms))
        new.replace(self._file)


async def work(meta: Path, directory: Path, clock: FileClock, stepped: int) -> None:
    usage.SCOPES_PER_STEP = SCOPES_PER_STEP
    job = usage.Usage(LmdbStore.open(meta, ballast_bytes=0), directory, clock=clock)
    while True:
        with suppress(ConflictError):  # of the one that was killed before: see the test
            await job.step()
        os.write(stepped, b".")


def kill_one(arguments: tuple[Path, Path, FileClock], after_s: float) -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            asyncio.run(work(*arguments, write))
        finally:
            os._exit(1)
    os.close(write)
    if not os.read(read, 1):
        raise SystemExit("it ended by itself")
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(read)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise SystemExit("it ended before it was killed")
    print("killed", flush=True)


if __name__ == "__main__":
    found = Path(sys.argv[1]), Path(sys.argv[2]), FileClock(Path(sys.argv[3]))
    for line in sys.stdin:
        kill_one(found, float(line))
