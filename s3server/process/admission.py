"""How much the server takes on at once: beyond it 503 SlowDown with Retry-After, and nothing else.

A request counts from the end of its headers to the end of its answer, over all workers. One that is
answered at once (`plain_reads.py`) never waits, so it does not count. Health is told in any case.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from s3server import errors
from s3server.config import ServerConfig
from s3server.process.refusal import Refused, refusal, unheard
from s3server.process.shares import Shares
from s3server.wire.response import WHOLE

RETRY_AFTER_S = 1
_CLOSE = (b"connection", b"close")


class Admission:
    """The ASGI application of a worker, where there is room for one more request.

    The limits are those of `shares`, to which each worker adds its own count before it has seen
    that of the others: of each other worker, one request more may be taken in the same instant.
    """

    def __init__(
        self,
        application: Any,
        shares: Shares,
        slot: int,
        config: ServerConfig,
        *,
        told: Refused = unheard,
    ) -> None:
        """`told` is told of each request that is refused."""
        self._application, self._shares, self._slot, self._told = application, shares, slot, told
        self._max_requests, self._max_connections = config.max_requests, config.max_connections

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it."""
        if _is_ours(scope):
            await self._application(scope, receive, send)
        elif self._shares.requests() >= self._max_requests:
            await self._refuse(scope, send)
        else:
            self._shares.begin(self._slot)
            try:
                await self._application(scope, receive, send)
            finally:
                self._shares.end(self._slot)

    def has_room(self) -> bool:
        """Whether one more connection may be used for requests."""
        return self._shares.connections() < self._max_connections

    async def on_surplus(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the first request of a connection for which there was no room, and end it."""
        if _is_ours(scope):
            await self._application(scope, receive, send)
        else:
            await self._refuse(scope, send, _CLOSE)

    async def _refuse(self, scope: Any, send: Any, *more: tuple[bytes, bytes]) -> None:
        headers, body = refusal(
            errors.SlowDown(headers={"retry-after": str(RETRY_AFTER_S)}),
            self._told,
            client=scope["client"][0] if scope["client"] else "",
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
        )
        with suppress(ConnectionResetError):  # the client is gone
            await send({"type": WHOLE, "status": 503, "headers": [*headers, *more], "body": body})


def _is_ours(scope: Any) -> bool:
    """Whether a request is about the server itself."""
    return bool(scope["raw_path"].startswith(b"/-/"))
