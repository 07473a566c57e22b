"""One worker process: the event loop, the connections and the application.

All workers share the listening sockets. Each takes one connection per readiness event, and lets
others go first where it has more than they; uvloop's own server takes all there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, Protocol

import structlog
import uvicorn

from s3server.config import Config
from s3server.model import HttpRequest
from s3server.observer import Answered
from s3server.process import tls
from s3server.process.admission import Admission
from s3server.process.client_chain import CertificateProtocol
from s3server.process.protocol import S3Protocol
from s3server.process.shares import ABSENT, Shares
from s3server.process.turns import Turns

log = structlog.get_logger()

ACCEPT_PAUSE_S = 0.5  # after descriptors ran out
YIELD_S = 0.003  # for a worker with fewer connections to take the next one
SWEEP_S = 0.5  # between looks for connections that are too slow
NEVER_S = 86_400
HANDSHAKE_AT_STOP_S = 1  # for clients of TLS that are just coming
BEAT_S = 1.0  # between signs of life to the supervisor


class Failure(Protocol):
    """What an application sets once it cannot go on: an asyncio.Event fits."""

    def is_set(self) -> bool: ...


class Application(Protocol):
    """What a worker serves."""

    @property
    def failed(self) -> Failure: ...

    @property
    def asgi(self) -> Any: ...

    def at_once(self, request: HttpRequest) -> tuple[bytes, bytes] | None: ...

    def refused(self, answered: Answered) -> None: ...

    def open(self) -> Awaitable[None]: ...

    def close(self) -> Awaitable[None]: ...


class WorkerServer(uvicorn.Server):
    """uvicorn's server with our way to accept, and to stop: SIGTERM drains and returns."""

    def __init__(
        self,
        application: Application,
        config: Config,
        *,
        status: int | None = None,
        shares: Shares | None = None,
        slot: int = 0,
        for_certificates: Sequence[socket.socket] = (),
    ) -> None:
        """`for_certificates` are further sockets, whose clients have to show a certificate."""
        header = config.server.server_header
        self._shares, self._slot = shares or Shares.create(), slot
        self._turns = Turns()
        self._admission = Admission(
            application.asgi, self._shares, slot, config.server, told=application.refused
        )
        settings = uvicorn.Config(
            self._admission,
            interface="asgi3",
            http=S3Protocol,
            ws="none",
            loop="uvloop",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[("server", header)] if header else [],
            timeout_graceful_shutdown=round(config.server.drain_s),
        )
        super().__init__(settings)
        self.application = application
        self._tls = tls.context(config.tls)
        self._for_certificates = for_certificates
        self._client_tls = tls.context_for_certificates(config) if for_certificates else None
        self._status = status
        self._listeners: list[socket.socket] = []
        self._opening: dict[asyncio.Task[Any], tuple[S3Protocol, socket.socket]] = {}
        _silence_uvicorn()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        assert sockets is not None
        loop = asyncio.get_running_loop()
        self.servers = []
        self._listeners = [*sockets, *self._for_certificates]
        for listener in self._listeners:
            loop.add_reader(listener.fileno(), self._on_connection, listener)
        await self.on_tick(0)
        self.started = True
        self._beat()
        self._sweep()

    def _on_connection(self, listener: socket.socket) -> None:
        self._report()
        if self._shares.is_ahead(self._slot):
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener.fileno())
            loop.call_later(YIELD_S, self._resume_and_accept, listener)
        else:
            self._accept(listener)

    def _report(self) -> None:
        opened = self.server_state.connections
        count = len(opened) + sum(one not in opened for one, _ in self._opening.values())
        self._shares.put(self._slot, count if self._listeners else ABSENT)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was faster, or the client gave up
        except OSError as error:  # out of descriptors or memory: the connection waits in the queue
            log.warning("cannot accept connections", error=str(error))
            loop.remove_reader(listener.fileno())
            loop.call_later(ACCEPT_PAUSE_S, self._resume, listener)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol, context = self._protocol(), self._tls
        if listener in self._for_certificates:
            protocol, context = self._certificate_protocol(), self._client_tls
        if not self._admission.has_room():
            protocol.serve_only(self._admission.on_surplus)
        task = loop.create_task(
            loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=tls.HANDSHAKE_S if context else None,
                ssl_shutdown_timeout=NEVER_S if context else None,  # `S3Protocol.expire` ends it
            )
        )
        self._opening[task] = protocol, connection
        task.add_done_callback(self._opened)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._on_connection, listener)

    def _resume_and_accept(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._resume(listener)
            self._accept(listener)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        del self._opening[task]
        if not task.cancelled() and (error := task.exception()):
            log.info("connection was lost at once", error=str(error))

    def _protocol(self) -> S3Protocol:
        application = self.application
        return S3Protocol(
            self.config,
            self.server_state,
            application.at_once,
            application.refused,
            self._turns,
        )

    def _certificate_protocol(self) -> S3Protocol:
        return CertificateProtocol(self.config, self.server_state, refused=self.application.refused)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now, has_room = loop.time(), self._admission.has_room()
        for connection in tuple(self.server_state.connections):
            assert isinstance(connection, S3Protocol)
            connection.expire(now)
            if not has_room:
                connection.make_room(now)
        loop.call_later(SWEEP_S, self._sweep)

    def _beat(self) -> None:
        if self._status is not None:
            with contextlib.suppress(BlockingIOError):  # the supervisor is busy: it sees others
                os.write(self._status, b".")
            asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    async def on_tick(self, counter: int) -> bool:
        """Stop, too, once the application cannot go on."""
        self._report()
        return await super().on_tick(counter) or self.application.failed.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let requests end for `drain_s` at most, close."""
        loop = asyncio.get_running_loop()
        listeners, self._listeners = self._listeners, []
        self._report()
        for listener in listeners:
            loop.remove_reader(listener.fileno())
        if self._opening:
            _, late = await asyncio.wait(self._opening, timeout=HANDSHAKE_AT_STOP_S)
            for task in late:  # a connection that came later would not know of the stop
                with contextlib.suppress(OSError):  # its client has gone meanwhile
                    self._opening[task][1].shutdown(socket.SHUT_RDWR)
        await super().shutdown(listeners)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM."""
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield


def _rest_the_collector() -> None:
    """Keep Python's garbage collector from walking over what lives as long as the process.

    Requests leave next to no cycles behind; at the default thresholds a worker under load spent
    7 % of its time looking for them among service models and handlers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def serve(server: WorkerServer, sockets: list[socket.socket]) -> int:
    """Run until SIGTERM or until the application fails; return the exit status."""
    await server.application.open()
    _rest_the_collector()
    try:
        await server.serve(sockets)
    finally:
        await server.application.close()
    if server.application.failed.is_set():
        log.error("the application cannot go on; the worker ends")
        return 1
    return 0


def _silence_uvicorn() -> None:
    """Keep uvicorn's own start, stop and access lines out of our log."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
