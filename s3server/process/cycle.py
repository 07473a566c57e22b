"""One request and its response on a connection: the ASGI `receive` and `send` of our protocol.

Leaner than uvicorn's own: a body travels as the pieces that the parser cut, without being copied
together; the response's head goes out with the first piece of its body in one write; all header
bytes are checked at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from s3server.wire.response import WHOLE

if TYPE_CHECKING:
    from s3server.process.protocol import S3Protocol

HIGH_WATER = 1 << 20  # bytes of an upload that wait for the application before reading pauses
DRAIN = 1 << 20  # bytes of an unread body that are worth more than a new connection
PIECE = 1 << 16  # bytes: smaller pieces of a body are joined, larger ones passed on as they are
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Field values may hold HTAB, visible ASCII, space and obs-text (RFC 9110 section 5.5). CR and LF
# are legal here because they end the lines; their count is what shows an injected one.
LEGAL = bytes({9, 10, 13} | set(range(32, 127)) | set(range(128, 256)))


class Wakeup:
    """Lets one coroutine wait for news of the connection."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiter, if there is one."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Return after the next `set`."""
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class S3Cycle(RequestResponseCycle):
    """A request, as far as received, and its response, as far as sent."""

    def __init__(  # the base's __init__ is replaced: it makes an Event and a buffer per request
        self, protocol: S3Protocol, scope: dict[str, Any], *, expects: bool, keep_alive: bool
    ) -> None:
        self.protocol = protocol
        self.scope = scope  # type: ignore[assignment]
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger: logging.Logger = protocol.logger
        self.message_event: Wakeup = Wakeup()  # type: ignore[assignment]

        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects

        self.pieces: deque[bytes] = deque()
        self.buffered = 0  # bytes in `pieces`
        self.received = 0  # bytes of the body so far
        self.more_body = True  # whether the end of the message is still to come
        self.is_cut = False  # whether the client closed its side before the end
        self._end_delivered = False

        self.response_started = False
        self.response_complete = False
        self.chunked_encoding = False
        self._expected: int | None = None  # bytes of the response still to send; None: unknown
        self._head: bytes | None = None  # written, but kept back for the first piece of the body

    # --- the request ----------------------------------------------------------------------------

    def add(self, piece: bytes) -> None:
        """Take the next piece of the body from the parser."""
        self.received += len(piece)
        if self.response_complete or self.disconnected:
            return
        self.pieces.append(piece)
        self.buffered += len(piece)
        if self.buffered > HIGH_WATER:
            self.flow.pause_reading()
        self.message_event.set()

    async def receive(self) -> dict[str, Any]:  # type: ignore[override]
        """Return the next event; `body` is bytes as received, up to 256 KiB at a time."""
        if self.waiting_for_100_continue and self.received == 0:
            self.waiting_for_100_continue = False
            if not self.transport.is_closing():
                self.protocol.write((CONTINUE,))
        while not (self.disconnected or self.response_complete):
            if self.pieces:
                return self._next_event()
            if not self.more_body and not self._end_delivered:
                self._end_delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.is_cut:
                break
            await self.message_event.wait(self.protocol.loop)
        return {"type": "http.disconnect"}

    def _next_event(self) -> dict[str, Any]:
        pieces = self.pieces
        if len(pieces) == 1 or len(pieces[0]) >= PIECE:
            body = pieces.popleft()
        else:
            body = b"".join(pieces)
            pieces.clear()
        self.buffered -= len(body)
        if self.buffered <= HIGH_WATER // 2:
            self.protocol.resume_reading()
        more = self.more_body or bool(pieces)
        self._end_delivered = not more
        return {"type": "http.request", "body": body, "more_body": more}

    def _leaves_much_unread(self) -> bool:
        """Whether closing the connection is cheaper than reading what the client still sends."""
        if self.waiting_for_100_continue and self.received == 0:
            return True  # the client may or may not send the body: the two cannot be told apart
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                return int(value) - self.received > DRAIN
        return True

    # --- the response -----------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """Send one event; waits while the client does not take what was written before.

        Raises ConnectionResetError once the client is gone (ASGI 2.4): whoever reads an object
        for it need not read on.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            raise ConnectionResetError("the client is gone")
        if not self.response_started:
            is_whole = message["type"] == WHOLE
            if not is_whole and message["type"] != "http.response.start":
                raise RuntimeError(f"expected http.response.start, got {message['type']}")
            head = self._make_head(message["status"], message.get("headers", ()))
            # RFC 9110 (10.1.1) lets us omit the 100 for a body that is empty or has come already.
            # But boto3 before 1.44 takes a final answer that came without one for the answer to
            # the connection's next request too, and hangs for a minute.
            owed = self.waiting_for_100_continue and self.keep_alive
            self._head = CONTINUE + head if owed else head
            self.response_started = True
            self.waiting_for_100_continue = False
            if is_whole:
                self._write(message["body"], more=False)
        elif self.response_complete or message["type"] != "http.response.body":
            raise RuntimeError(f"unexpected {message['type']}")
        else:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _make_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        length, is_chunked = None, False
        parts = [STATUS_LINE[status]]
        for name, value in (*self.protocol.server_state.default_headers, *headers):
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                is_chunked = value == b"chunked"
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
                continue
            parts += (name, b": ", value, b"\r\n")
        has_body = self.scope["method"] != "HEAD" and status not in (204, 304)
        if has_body and length is None and not is_chunked:
            if self.scope["http_version"] == "1.1":
                is_chunked = True
                parts += (b"transfer-encoding", b": ", b"chunked", b"\r\n")
            else:  # the end of the connection is the end of the body
                self.keep_alive = False
        if self.more_body and self.keep_alive:
            self.keep_alive = not self._leaves_much_unread()
        if not self.keep_alive:
            parts += (b"connection", b": ", b"close", b"\r\n")
        parts.append(b"\r\n")
        head = b"".join(parts)
        lines = len(parts) // 4 + 2
        if head.count(b"\n") != lines or head.count(b"\r") != lines or head.translate(None, LEGAL):
            raise RuntimeError("control character in a response header")
        self.chunked_encoding = is_chunked and has_body
        self._expected = (None if is_chunked else length) if has_body else 0
        return head

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._expected is not None:
            self._expected -= len(body)
            if self._expected < 0 or (self._expected and not more):
                raise RuntimeError("the response is not as long as its Content-Length")
        out = [self._head] if self._head is not None else []
        self._head = None
        if self.chunked_encoding:
            if body:
                out += (b"%x\r\n" % len(body), body, b"\r\n")
            if not more:
                out.append(b"0\r\n\r\n")
        elif body:
            out.append(body)
        if out:
            self.protocol.write(out)
        if not more:
            self.response_complete = True
            self.message_event.set()
            self.pieces.clear()
            self.protocol.on_cycle_complete(self)
