"""A store in memory behind the worker's HTTP protocol, with a transport that keeps what it gets."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from s3server.process.protocol import AtOnce, S3Protocol
from tests.support.served import Store

WAIT_S = 60


class Transport:
    """The server's side of a connection."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def writelines(self, pieces: list[bytes]) -> None:
        self.sent += b"".join(pieces)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.7", 5), "sockname": ("192.0.2.1", 80)}.get(name, default)

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Wire:
    """One connection to a store. `at_once` as S3Protocol takes it."""

    def __init__(self, store: Store, *at_once: AtOnce) -> None:
        config = uvicorn.Config(store.asgi, interface="asgi3", lifespan="off", log_config=None)
        config.load()
        self.transport = Transport()
        self.protocol = S3Protocol(config, ServerState(), *at_once)
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]

    async def ask(self, request: bytes) -> bytes:
        """Send bytes and return what comes back until the server has nothing left to do."""
        self.transport.sent = b""
        self.protocol.data_received(request)
        async with asyncio.timeout(WAIT_S):
            while self.protocol.tasks:
                await asyncio.sleep(0)
        self.protocol.flush()
        return self.transport.sent
