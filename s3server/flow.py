"""What passes through a request, counted: bytes of bodies as they are received and sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from s3server.core.records import BucketRecord
from s3server.metering import Meter
from s3server.model import ANONYMOUS, Principal
from s3server.wire.response import WHOLE, Response

Receive = Callable[[], Coroutine[Any, Any, Any]]
Send = Callable[[Any], Awaitable[None]]


class Flow:
    """Both ends of a request, in ASGI's form, and whose it turns out to be."""

    __slots__ = (
        "_has_body", "_meter", "_receive", "_send", "bucket", "pause_s", "principal", "received",
        "sent",
    )  # fmt: skip

    def __init__(self, receive: Receive, send: Send, meter: Meter, method: str) -> None:
        self._receive, self._send, self._meter = receive, send, meter
        self._has_body = method != "HEAD"
        self.received = self.sent = 0
        self.principal: Principal = ANONYMOUS
        self.bucket: BucketRecord | None = None
        self.pause_s: Callable[[int], float] | None = None  # after so many bytes, in seconds

    async def receive(self) -> Any:
        """Return the next message of the request."""
        message = await self._receive()
        self.received += (size := len(message.get("body", b"")))
        await self._pause(size)
        return message

    async def send(self, message: Any) -> None:
        """Send a message of the answer; what is in it is counted first: a kill loses nothing."""
        if self._has_body and (size := len(message.get("body", b""))):
            self.sent += size
            self._count(sent=size)
            await self._pause(size)
        await self._send(message)

    async def _pause(self, size: int) -> None:
        """Let bytes pass at the rate of the project: what waits is the client's connection."""
        if self.pause_s is not None and size and (wait_s := self.pause_s(size)) > 0:
            await asyncio.sleep(wait_s)

    def answer(self) -> None:
        """Count the request, before its answer is sent."""
        self._count(requests=1, received=self.received)

    def _count(self, *, requests: int = 0, received: int = 0, sent: int = 0) -> None:
        """Count for the bucket, the bucket's project and whoever sent the request."""
        project, bucket = self.principal.account, self.bucket
        name = ""
        if bucket is not None:
            project, name = bucket.account, bucket.name
        self._meter.count((project, self.principal.id, name), received, sent, requests)


async def send_response(response: Response, scope: Any, send: Send) -> None:
    """Send a response. What fails in a stream cuts the connection: no wrong byte looks right."""
    status, headers, body = response.status, response.headers, response.body
    if isinstance(body, bytes) and WHOLE in scope.get("extensions", ()):
        await send({"type": WHOLE, "status": status, "headers": headers, "body": body})
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if isinstance(body, bytes):
        content = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": content, "more_body": False})
        return
    async with aclosing(body) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
