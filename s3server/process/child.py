"""A process that the supervisor starts: both sides of how the two talk.

The child gets the settings on its standard input, so that no secret is on a command line or in an
environment; the listening sockets as inherited descriptors; and a pipe into which it writes a
byte when it is ready and one every second after. It dies with its parent, even by SIGKILL.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Literal

import uvloop

from s3server import config as settings
from s3server import logs
from s3server.process.shares import Shares

PR_SET_PDEATHSIG = 1  # prctl(2)

Kind = Literal["worker", "jobs"]


class Child:
    """A started process, seen from the supervisor."""

    def __init__(self, kind: Kind, slot: int) -> None:
        self.kind = kind
        self.slot = slot  # of all live workers this one alone has it
        self.ready = asyncio.Event()
        self.last_beat = asyncio.get_running_loop().time()
        self.started = self.last_beat
        self.is_stopping = False
        self.failures = 0  # of those whose place it took, in a row
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    async def start(
        self,
        config_json: str,
        *,
        listeners: list[int],
        for_certificates: list[int],
        lock: int,
        shares: int,
        held: Sequence[int],
    ) -> None:
        """Start the process. `lock` stays open in it: a store is locked while any process lives.

        Settings may name the files of `held` as /proc/self/fd/N: numbers stay what they are.
        """
        receiving, sending = os.pipe()
        os.set_blocking(sending, False)
        os.set_blocking(receiving, False)
        command = [self.kind, "--slot", str(self.slot), "--status", str(sending)]
        command += ["--listen", ",".join(map(str, listeners)), "--parent", str(os.getpid())]
        command += ["--shares", str(shares)]
        command += ["--certificates", ",".join(map(str, for_certificates))]
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "s3server",
                *command,
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(sending, lock, shares, *held, *listeners, *for_certificates),
            )
        finally:
            os.close(sending)
        loop = asyncio.get_running_loop()
        loop.add_reader(receiving, self._on_status, receiving)
        assert self._process.stdin is not None
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # wait() tells of its death
            self._process.stdin.write(config_json.encode())
            await self._process.stdin.drain()
        self._process.stdin.close()

    def _on_status(self, receiving: int) -> None:
        loop = asyncio.get_running_loop()
        if os.read(receiving, 4096):
            self.last_beat = loop.time()
            self.ready.set()
        else:
            loop.remove_reader(receiving)
            os.close(receiving)

    async def becomes_ready(self, stop: asyncio.Event, timeout_s: float) -> bool:
        """Whether the child says that it is ready before it ends, `stop` is set or time is up."""
        waits = [
            asyncio.ensure_future(wait) for wait in (self.ready.wait(), self.wait(), stop.wait())
        ]
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self.ready.is_set() and not stop.is_set()

    def silence_s(self) -> float:
        """Seconds since the last sign of life; 0 before the first."""
        return asyncio.get_running_loop().time() - self.last_beat if self.ready.is_set() else 0

    async def wait(self) -> int:
        """Return the exit status once the process has ended; negative: the signal."""
        return await self._process.wait() if self._process is not None else 0

    def stop(self) -> None:
        """Ask the process to end what it is doing, and itself."""
        self.is_stopping = True
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def main(arguments: list[str]) -> int:
    """Run a child; return its exit status. `arguments` as `Child.start` writes them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("worker", "jobs"))
    parser.add_argument("--slot", type=int)
    parser.add_argument("--status", type=int)
    parser.add_argument("--shares", type=int)
    parser.add_argument("--listen")
    parser.add_argument("--certificates")
    parser.add_argument("--parent", type=int)
    options = parser.parse_args(arguments)
    _die_with(options.parent)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends these to us, too
        signal.signal(number, signal.SIG_IGN)
    config = settings.from_json(sys.stdin.read())
    process = "jobs" if options.kind == "jobs" else f"worker-{options.slot}"
    logs.configure(form=config.log.format, process=process)
    if options.kind == "jobs":
        return uvloop.run(_jobs(config, options.status))
    return uvloop.run(_work(config, options))


def _sockets(descriptors: str) -> list[socket.socket]:
    return [socket.socket(fileno=int(number)) for number in descriptors.split(",") if number]


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        sys.exit(1)


async def _work(config: settings.Config, options: argparse.Namespace) -> int:
    from s3server.app import build  # noqa: PLC0415 (what only a worker needs is not loaded elsewhere)
    from s3server.process import worker  # noqa: PLC0415

    server = worker.WorkerServer(
        build(config, slot=options.slot),
        config,
        status=options.status,
        shares=Shares(options.shares),
        slot=options.slot,
        for_certificates=_sockets(options.certificates),
    )
    return await worker.serve(server, _sockets(options.listen))


async def _jobs(config: settings.Config, status: int) -> int:
    from s3server.background import run_jobs  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    task = loop.create_task(run_jobs(config))
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    beats = loop.create_task(_beat(status))
    with contextlib.suppress(asyncio.CancelledError):
        await task
    beats.cancel()
    return 0


async def _beat(status: int) -> None:
    while True:
        with contextlib.suppress(BlockingIOError):
            os.write(status, b".")
        await asyncio.sleep(1)
