"""The first process: owns the listening sockets and keeps the workers and the jobs process alive.

SIGTERM and SIGINT end all after their requests are served; SIGHUP reads the settings again and
replaces the workers one after the other. The sockets stay open throughout, so that no connection
is refused. Two live workers never have the same slot.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog

from s3server.config import Config, ConfigError, to_json
from s3server.process import listen, state, systemd
from s3server.process.child import Child, Kind
from s3server.process.shares import Shares
from s3server.process.tls import Held

log = structlog.get_logger()

START_S = 120  # for a replacement to become ready
SILENT_S = 30  # without a sign of life: the process hangs
CHECK_S = 1
STRAGGLER_S = 5  # beyond the drain time of the settings, before SIGKILL
BACKOFF_S, BACKOFF_MAX_S = 0.1, 30
HEALTHY_S = 10  # a process that lived so long did not fail at its start


def pause_s(failures: int) -> float:
    """Return for how long to wait before a process is replaced, after so many that failed."""
    return min(BACKOFF_S * (1 << min(failures, 16)), BACKOFF_MAX_S)


class Supervisor:
    """Runs a server until it is told to stop.

    `load` returns the settings, at first and at every SIGHUP; the listening addresses and the
    number of workers stay what they were. `prepare` is awaited before new settings are used, and
    may refuse them by raising; so are those of another metadata directory, which is another store.
    It returns the certificate that processes show from then on; `held` is the first one.
    `on_ready` is called once when all workers are.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        listeners: list[socket.socket],
        *,
        lock: int,
        prepare: Callable[[Config], Awaitable[Held]],
        held: Held,
        on_ready: Callable[[], None] = lambda: None,
        for_certificates: Sequence[socket.socket] = (),
    ) -> None:
        self._load = load
        self._prepare = prepare
        self._config = load()
        self._listeners, self._for_certificates = listeners, for_certificates
        self._lock, self._held = lock, held
        self._on_ready = on_ready
        self._shares = Shares.create()
        self._children: list[Child] = []
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None
        self._is_reload_due = False

    async def run(self) -> int:
        """Serve; return the exit status: 1 where a worker could not start at all, else 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        try:
            workers = [await self._spawn("worker") for _ in range(self._config.server.worker_count)]
            if not all([await worker.becomes_ready(self._stop, START_S) for worker in workers]):
                return 0 if self._stop.is_set() else 1
            await self._spawn("jobs")
            self._on_ready()
            url = self._url()
            systemd.notify(f"READY=1\nSTATUS={url} with {len(workers)} workers")
            log.info("ready", url=url, workers=len(workers))
            self._task(self._watch_beats())
            await self._stop.wait()
            return 0
        finally:
            await self._end()

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_stop(self) -> None:
        if self._stop.is_set():
            for child in self._children:
                child.kill()
        self._stop.set()

    async def _spawn(self, kind: Kind) -> Child:
        used = {child.slot for child in self._children if child.kind == kind}
        child = Child(kind, next(slot for slot in itertools.count() if slot not in used))
        self._children.append(child)
        held = self._held  # also while another one takes its place
        try:
            await child.start(
                to_json(held.settings(self._config)),
                listeners=[one.fileno() for one in self._listeners],
                for_certificates=[one.fileno() for one in self._for_certificates],
                lock=self._lock,
                shares=self._shares.descriptor,
                held=held.descriptors,
            )
        except OSError:
            self._children.remove(child)
            raise
        self._task(self._watch(child))
        self._write_state()
        return child

    async def _watch(self, child: Child) -> None:
        """Wait for the end of a child and replace it, unless it was meant."""
        status = await child.wait()
        self._children.remove(child)
        if child.kind == "worker":
            self._shares.remove(child.slot)
        if self._stop.is_set():
            return
        self._write_state()
        if child.is_stopping:
            return
        log.error("process ended", kind=child.kind, slot=child.slot, status=status)
        lived_s = asyncio.get_running_loop().time() - child.started
        await self._replace(child.kind, 0 if lived_s > HEALTHY_S else child.failures)

    async def _replace(self, kind: Kind, failures: int) -> None:
        """Start a process in place of one that ended after so many that failed at their start."""
        wanted = self._config.server.worker_count if kind == "worker" else 1
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s(failures))
            failures += 1
            if self._stop.is_set() or len(self._active(kind)) >= wanted:
                return
            try:
                (await self._spawn(kind)).failures = failures
                return
            except OSError as error:  # no memory, no process id: try again
                log.warning("process cannot be started", kind=kind, error=str(error))

    def _active(self, kind: Kind) -> list[Child]:
        return [child for child in self._children if child.kind == kind and not child.is_stopping]

    async def _watch_beats(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + CHECK_S
            await asyncio.sleep(CHECK_S)
            stood_still = loop.time() - due > SILENT_S / 2  # a paused container: so did the others
            for child in self._children:
                if stood_still:
                    child.last_beat = loop.time()
                elif child.silence_s() > SILENT_S:
                    log.error("process hangs", kind=child.kind, slot=child.slot, pid=child.pid)
                    child.kill()
            if any(child.silence_s() <= SILENT_S for child in self._active("worker")):
                systemd.notify("WATCHDOG=1")

    def _on_reload(self) -> None:
        self._is_reload_due = True
        if self._reloading is None or self._reloading.done():
            self._reloading = self._task(self._reload_while_due())

    async def _reload_while_due(self) -> None:
        """Reload; once more where a SIGHUP came meanwhile, as it is about what changed since."""
        while self._is_reload_due and not self._stop.is_set():
            self._is_reload_due = False
            await self._reload()

    async def _reload(self) -> None:
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        before = self._config, self._held
        try:
            changed = self._loaded()
            self._config, self._held = changed, await self._prepare(changed)
        except Exception as error:  # settings, or devices that they name, cannot be used
            log.warning("settings not changed", error=str(error))
        if await self._renew():
            log.info("reloaded")
        else:  # a process that dies later must not be replaced by one that cannot start
            self._config, self._held = before
        systemd.notify("READY=1")

    def _loaded(self) -> Config:
        """Return the settings as they are now. Raises ConfigError."""
        loaded, server, certificates = self._load(), self._config.server, self._config.certificates
        if loaded.storage.meta_dir != self._config.storage.meta_dir:
            raise ConfigError(f"storage.meta_dir is {self._config.storage.meta_dir} until a stop")
        kept = {"listen": server.listen, "workers": server.workers}
        return loaded.model_copy(
            update={
                "server": loaded.server.model_copy(update=kept),
                "certificates": loaded.certificates.model_copy(
                    update={"listen": certificates.listen}
                ),
            }
        )

    async def _renew(self) -> bool:
        """Replace all processes, one after the other; stop at the first that does not start."""
        for kind in ("worker", "jobs"):
            for old in self._active(kind):
                try:
                    new = await self._spawn(kind)
                except OSError as error:  # no memory, no process id
                    log.warning("process cannot be started", kind=kind, error=str(error))
                    return False
                if not await new.becomes_ready(self._stop, START_S):
                    new.stop()
                    log.error("replacement did not start; the old process goes on", kind=kind)
                    return False
                old.stop()
        return True

    async def _end(self) -> None:
        self._stop.set()
        systemd.notify("STOPPING=1")
        for listener in (*self._listeners, *self._for_certificates):
            listener.close()
        ends = [asyncio.ensure_future(child.wait()) for child in self._children]
        for child in self._children:
            child.stop()
        if ends:
            _, late = await asyncio.wait(ends, timeout=self._config.server.drain_s + STRAGGLER_S)
            for child in self._children if late else ():
                log.warning("process did not end in time", kind=child.kind, pid=child.pid)
                child.kill()
            await asyncio.wait(ends)
        for task in tuple(self._tasks):
            task.cancel()
        state.remove(self._config.storage.meta_dir)

    def _url(self) -> str:
        return listen.url(self._listeners[0], self._config.scheme)

    def _write_state(self) -> None:
        workers = {child.slot: child.pid for child in self._active("worker") if child.pid}
        jobs = next((child.pid for child in self._active("jobs") if child.pid), None)
        try:
            state.write(self._config.storage, url=self._url(), workers=workers, jobs=jobs)
        except OSError as error:  # a full disk: it tells people what runs, nothing depends on it
            log.warning("state file not written", error=str(error))
