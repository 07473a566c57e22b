"""What passes through a request, counted: bytes of bodies as they are received and sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from s3server.core.records import BucketRecord
from s3server.metering import Meter
from s3server.model import ANONYMOUS, Principal

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Flow:
    """Both ends of a request, in ASGI's form, and whose it turns out to be."""

    __slots__ = ("_has_body", "_meter", "_receive", "_send", "bucket", "principal", "received")

    def __init__(self, receive: Receive, send: Send, meter: Meter, method: str) -> None:
        self._receive, self._send, self._meter = receive, send, meter
        self._has_body = method != "HEAD"
        self.received = 0
        self.principal: Principal = ANONYMOUS
        self.bucket: BucketRecord | None = None

    async def receive(self) -> Any:
        """Return the next message of the request."""
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Any) -> None:
        """Send a message of the answer; what is in it is counted first: a kill loses nothing."""
        if self._has_body and (size := len(message.get("body", b""))):
            self._count(sent=size)
        await self._send(message)

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
