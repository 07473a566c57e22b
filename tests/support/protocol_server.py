"""A real server of our HTTP protocol, around a tiny application, and raw clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from s3server.process import listen, protocol
from s3server.process.protocol import WRITE_BUFFER
from s3server.process.shares import Shares
from s3server.process.worker import WorkerServer
from s3server.settings import quickstart_config

HOST = b"Host: s3.example\r\n"
WAIT_S = 60  # a busy machine is slow


class App:
    """Answers by path, and remembers what it saw."""

    def __init__(self) -> None:
        self.failed = threading.Event()
        self.scopes: list[dict] = []
        self.bodies: list[bytes] = []
        self.events: list[str] = []
        self.release: asyncio.Event = asyncio.Event()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def at_once(self, request):
        if request.raw_path == "/at/once":
            return b"x-way: short\r\ncontent-length: 2\r\n", b"ok"
        return None

    def refused(self, answered) -> None: ...

    async def asgi(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        path = scope["path"]
        status, headers, body = 200, [], path.encode()
        if path.startswith("/read"):
            parts = []
            while True:
                event = await receive()
                self.events.append(event["type"])
                parts.append(event.get("body", b""))
                if not event.get("more_body", False):
                    break
            self.bodies.append(b"".join(parts))
            if self.events[-1] == "http.disconnect":
                status = 400
            body = b"%d" % len(self.bodies[-1])
        elif path == "/denied":
            status, body = 403, b"no"
        elif path == "/wait":
            await self.release.wait()
        elif path == "/injected":
            headers = [(b"x-a", b"1\r\nx-b: 2")]
        elif path == "/half":
            body = b"x" * (WRITE_BUFFER // 2)
        elif path == "/large":
            body = b"x" * (32 << 20)
        elif path == "/endless":
            await self._endless(send)
            return
        if path != "/stream":
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _endless(self, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        except ConnectionResetError:
            self.events.append("client is gone")


class Running:
    """A worker's server in a thread, over one listening socket; `server` are its settings."""

    def __init__(self, directory: Path, tls: ssl.SSLContext | None = None, **server: int) -> None:
        self.app = App()
        self.listener = listen.bind("127.0.0.1", 0)
        self.address = self.listener.getsockname()
        config = quickstart_config(
            directory,
            access_key="AKIATEST",
            secret_key="x" * 20,
            server={"drain_s": WAIT_S} | server,
        )
        self.shares = Shares.create()
        self.server = WorkerServer(self.app, config, shares=self.shares)
        self.server._tls = tls
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.started.wait(WAIT_S)

    def _run(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            self.loop.call_soon(self.started.set)
            await self.server._serve([self.listener])

        uvloop.run(serve())

    def connections(self) -> list[protocol.S3Protocol]:
        return list(self.server.server_state.connections)

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self.loop.call_soon_threadsafe(self.app.release.set)
        self.server.should_exit = True
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()

    def connect(self) -> Client:
        return Client(self.address)

    def ask(self, data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        with self.connect() as client:
            client.send(data)
            return client.answer()


class Client:
    """A raw connection."""

    def __init__(self, address) -> None:
        self.socket = socket.create_connection(address, timeout=WAIT_S)
        self.rest = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError(self.rest)
        self.rest += data

    def answer(self, *, has_body: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", 0)) if has_body else 0
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(status.split()[1]), headers, body

    def is_closed(self) -> bool:
        """Wait for the server to close its side, dropping what comes before."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(1 << 20):
                pass
        return True


def code(body: bytes) -> bytes:
    return re.search(rb"<Code>(\w+)</Code>", body)[1]


def get(path: bytes = b"/", extra: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + extra + b"\r\n"


def put(path: bytes, body: bytes, extra: bytes = b"") -> bytes:
    head = b"PUT " + path + b" HTTP/1.1\r\n" + HOST + extra
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def expire(server: Running, seconds: float, *, since: float | None = None) -> None:
    """Let the server believe that so much time has passed since a moment; None: since now.

    What is to be too early is reckoned from before it began: a busy machine takes its time.
    """
    look(server, lambda connection, now: connection.expire((since or now) + seconds))


def look(server: Running, at: Callable[[protocol.S3Protocol, float], None]) -> None:
    """Look at every connection, with the loop's time."""
    done = threading.Event()

    def sweep() -> None:
        for connection in server.connections():
            at(connection, server.loop.time())
        done.set()

    server.loop.call_soon_threadsafe(sweep)
    assert done.wait(WAIT_S)


def until_connected(server: Running, check=lambda connection: True) -> None:
    """Return once the server's only connection is as wanted."""
    until(lambda: bool(found := server.connections()) and check(found[0]))


def until_draining(server: Running) -> None:
    """Return once a server that stops has told its connections, or they are gone already."""
    until(lambda: all(connection._draining for connection in server.connections()))


def until(holds) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "the server did not get that far"
        threading.Event().wait(0.005)
