"""A server that is to be killed: started by its command line, in a process group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.servers import free_port
from s3server.process import state
from tests.support.signing import Key

ROOT = Path(__file__).parents[2]
KEY = Key("AKIACRASHTESTS", "secret-of-crash-tests")
START_S = 60


class CrashServer:
    """One store, and the server that runs on it at present."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory, self.port = directory, free_port()
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """What all servers of this store wrote."""
        return self.directory.with_name(self.directory.name + ".log")

    @property
    def state(self) -> dict[str, Any]:
        """The process ids, as the server keeps them beside its metadata."""
        return state.read(self.directory / "meta")

    @property
    def workers(self) -> list[int]:
        return list(self.state["workers"].values())

    @property
    def group(self) -> int:
        """The process group of all that was started."""
        assert self._process is not None
        return self._process.pid

    async def spawn(self) -> None:
        """Start the server; it is not ready yet."""
        command = ["quickstart", str(self.directory), "--json", "--workers", "2"]
        command += ["--listen", f"127.0.0.1:{self.port}", *self._options]
        environment = {
            "S3SERVER_ROOT_ACCESS_KEY": KEY.id,
            "S3SERVER_ROOT_SECRET_KEY": KEY.secret,
            "S3SERVER_STORAGE__GC_GRACE_S": "1",
            "S3SERVER_STORAGE__FULL_RATIO": "1",  # the disk is the tester's
        }
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "s3server", *command),
                cwd=ROOT,
                env=os.environ | environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    async def start(self) -> None:
        """Start the server and wait until it says that it is ready."""
        await self.spawn()
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            line = await self._process.stdout.readline()
        assert line, f"the server did not start: {self.log.read_text()[-2000:]}"

    async def kill(self) -> None:
        """End the supervisor and all that it started, by SIGKILL."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._reap()

    async def stop(self) -> int:
        """Ask the server to end, and return its exit status."""
        self.signal(signal.SIGTERM)
        return await self._reap()

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def _reap(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        await self._process.stdout.read()  # to its end: the pipe closes with the last process
        status = await self._process.wait()
        self._process = None
        return status

    async def close(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            await self.kill()


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what a server process does by itself."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
