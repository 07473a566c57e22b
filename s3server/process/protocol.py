"""HTTP/1.1 on one connection: uvicorn's httptools protocol with what it lacks.

Repaired here, each with a contract test in `tests/unit/process/test_protocol.py`, because it rests
on uvicorn's internals: limits of the header section (8 KiB, beside it a Range header of 32 KiB, 100
fields), trailers kept out of the headers, exactly one Host (RFC 9112 section 3.2), deadlines for
everything that a client can be slow at, and a connection that is closed, and not left out of step,
when a body was not read. What cannot be parsed is answered with S3's error document.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from s3server import eager, errors
from s3server.model import HttpRequest
from s3server.process.cycle import S3Cycle
from s3server.process.refusal import Refused, last_response, refusal, unheard
from s3server.process.turns import Turns
from s3server.wire.plain import read_plain
from s3server.wire.response import WHOLE

MAX_HEADERS = 8 << 10  # bytes of the request target and all fields but Range
MAX_RANGE = 32 << 10  # bytes of the Range field: 1,024 ranges of ROOT's vector reads
MAX_FIELDS = 100
MAX_SILENT = 48 << 10  # bytes received without progress: an endless field, trailer or extension
WRITE_BUFFER = 1 << 20  # bytes

HEADER_S = 10  # from the first byte of a request, or the start of a connection, to its headers' end
KEEP_ALIVE_S = 75  # between requests; longer than nginx keeps its side (60 s)
PATIENCE_S = 5  # between requests, where others find no room
STALL_S = 60  # in which a client has to send, or to take, MIN_RATE of what is due on average
MIN_RATE = 1 << 10  # bytes per second
# Reading on after an early answer, so that a reset does not destroy it (RFC 9112 9.6): so long
# after each byte, and at most. Both are those of nginx.
LINGER_S, LINGER_MOST_S = 5, 30
BYE_S = 2  # for an idle client of TLS to answer our close_notify, which few do
_BODILESS = frozenset({"GET", "HEAD"})
_EXTENSIONS: Mapping[str, Mapping[str, object]] = {WHOLE: {}}
_NOTED = frozenset({b"range", b"host", b"expect"})  # fields that the protocol itself looks at
EAGER = 16  # requests of one read answered at once; others wait for their turn of the loop
MAX_PIPELINED = 64  # requests that wait behind the one being served
DRAIN_S = 1  # for requests already under way to an idle connection, at a stop

# Returns the header fields of a 200, each with its end of line, and the body; None: not at once.
AtOnce = Callable[[HttpRequest], tuple[bytes, bytes] | None]


def _never(request: HttpRequest) -> None:
    return None


class S3Protocol(HttpToolsProtocol):
    """One connection. `expire` has to be called every second or so."""

    transport: asyncio.Transport
    cycle: S3Cycle
    pipeline: deque[tuple[S3Cycle, Any]]  # type: ignore[assignment]

    _deadline = math.inf  # loop time at which the client has been too slow
    _write_deadline = math.inf
    _linger_end = math.inf
    _due = 0  # bytes of a body received since its deadline was set
    _unsent = 0  # bytes that the client had not taken when the deadline of writing was set
    _silent = 0  # bytes received since the parser last got somewhere
    _in_message = False  # between the first and the last byte of a request
    _in_headers = False
    _has_answered = False
    _lingers = False  # answered for the last time; what still comes is dropped
    _draining = False
    _is_put_off = False  # what came last waits for another turn of the loop
    _served: S3Cycle | None = None
    _eager_left = 0
    _waits_for_end = False  # a request without a body is served once it is whole
    _refusal: errors.S3Error | None = None

    _extensions = _EXTENSIONS
    _default_fields: list[tuple[bytes, bytes]] | None = None
    _first_lines = b""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        at_once: AtOnce = _never,
        refused: Refused = unheard,
        turns: Turns | None = None,
    ) -> None:
        """`at_once` answers plain requests that need no waiting; see `wire.plain`."""
        super().__init__(config, state, {})
        self._at_once, self._refused = at_once, refused
        self._peer = ""
        self._turns = turns or Turns()

    def serve_only(self, app: Any) -> None:
        """Serve what comes on this connection by another ASGI application alone."""
        self.app, self._at_once = app, _never

    # --- the connection ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._peer = self.client[0] if self.client else ""
        self._deadline = self.loop.time() + HEADER_S

    def data_received(self, data: bytes) -> None:
        """Feed the parser; it calls the `on_...` methods."""
        if self._lingers or self.parser is None:
            if self._linger_end < math.inf:
                self._deadline = min(self._linger_end, self.loop.time() + LINGER_S)
            return
        if not self._in_message and self._turns.is_over(self.loop.time()):
            self._is_put_off = True
            self.flow.pause_reading()
            self._turns.put_off(self, data)
        else:
            self._feed(data)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Write, behind what waits for the end of the turn."""
        self.flush()
        self.transport.writelines(pieces)

    def flush(self) -> None:
        """Write now what waits for the end of the turn."""
        self._turns.flush()

    def take(self, data: bytes) -> None:
        """Take what was put off."""
        self._is_put_off = False
        if self._has_ended() or self.parser is None:
            return
        self.resume_reading()
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        if not self._in_message and self._answered_at_once(data):
            return
        self._silent += len(data)
        self._eager_left = EAGER
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # what follows would be another protocol
        except httptools.HttpParserError:
            if not self._has_ended():
                self._refuse(
                    self._refusal or errors.BadRequest("The request is not valid HTTP/1.1.")
                )
        else:
            if self._silent > MAX_SILENT and self._in_message:
                self._refuse(errors.RequestHeaderSectionTooLarge())

    def _answered_at_once(self, data: bytes) -> bool:
        """Answer a plain request past the parser and ASGI, where nothing has to be waited for."""
        if self._draining or self._is_busy() or self.flow.write_paused:
            return False
        request = read_plain(data, scheme=self.scheme or "", client=self._peer)
        answer = None if request is None else self._at_once(request)
        if answer is None:
            return False
        fields, body = answer
        self._turns.answer(self.transport, b"".join((self._opening(), fields, b"\r\n", body)))
        self.server_state.total_requests += 1
        self._deadline = self.loop.time() + KEEP_ALIVE_S
        self._has_answered = True
        return True

    def _opening(self) -> bytes:
        """Return the first lines of a 200; those of uvicorn are the same for a second."""
        fields = self.server_state.default_headers
        if fields is not self._default_fields:
            lines = [b"%b: %b\r\n" % field for field in fields]
            self._default_fields, self._first_lines = fields, b"".join([STATUS_LINE[200], *lines])
        return self._first_lines

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Let a request that was sent whole, or cut, be answered before closing."""
        if self._lingers or not self._is_busy():
            self.flush()
            return None
        self.cycle.keep_alive = False
        self.cycle.is_cut = self.cycle.more_body
        self.cycle.message_event.set()
        return self.transport.can_write_eof()  # TLS knows no half of a connection

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request of the connection."""
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        if self._served is not None and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take what was written."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._write_deadline = self.loop.time() + STALL_S

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._write_deadline = math.inf

    def shutdown(self) -> None:
        """Serve what has begun and what arrives within DRAIN_S, then close."""
        self._draining = True
        if self._is_busy():
            if not self.cycle.response_started:  # else its client was told that it may go on
                self.cycle.keep_alive = False
        elif self._is_unread():
            self._linger()
        elif self._is_between() and not (self._has_ended() and self._unsent):
            self._deadline = min(self._deadline, self.loop.time() + DRAIN_S)

    def expire(self, now: float) -> None:
        """Close the connection if its client has been too slow; `now` is the loop's time."""
        if now >= self._write_deadline:
            if self._takes():
                self._write_deadline = now + STALL_S
            else:
                self.transport.abort()
        if now >= self._deadline:
            self._on_deadline(now)
        elif self._deadline == math.inf and self.transport.is_closing():
            self._close(STALL_S)  # uvicorn has closed, as the application failed

    def make_room(self, now: float) -> None:
        """Close the connection if it is idle for more than PATIENCE_S."""
        is_used = self._in_message or self._is_busy() or self._has_ended()
        if self._has_answered and not is_used and now >= self._deadline - KEEP_ALIVE_S + PATIENCE_S:
            self._close(BYE_S)

    def _on_deadline(self, now: float) -> None:
        if self.transport.is_closing():
            if self._takes():
                self._deadline = now + STALL_S
            else:
                self.transport.abort()
        elif self._lingers or self._is_between():
            self._close(BYE_S)
        elif self._waits_for_us() or self._due >= STALL_S * MIN_RATE:
            self._deadline, self._due = now + STALL_S, 0
        elif self._is_unread():
            self._close(BYE_S)
        else:
            self._refuse(errors.RequestTimeout())

    def _waits_for_us(self) -> bool:
        """Whether it is we who do not read, or have not asked for the body yet."""
        return self.flow.read_paused or (
            not self._in_headers and self.cycle.waiting_for_100_continue
        )

    def _takes(self) -> bool:
        """Whether the client has taken what is written at MIN_RATE, since this was looked at."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        return before - self._unsent >= STALL_S * MIN_RATE

    def _close(self, wait_s: float) -> None:
        """Send what is written and close; `wait_s` for a client of TLS that says nothing."""
        self.flush()
        self.transport.close()
        self._unsent = self.transport.get_write_buffer_size()
        self._deadline = self.loop.time() + (STALL_S if self._unsent else wait_s)

    def _has_ended(self) -> bool:
        """Whether nothing more is answered on this connection."""
        return self._lingers or self.transport.is_closing()

    def _is_between(self) -> bool:
        """Whether no request has begun; at a stop none has whose header section is not whole."""
        return not self._in_message or (self._draining and self._in_headers)

    def _is_unread(self) -> bool:
        """Whether a request has been answered, and the rest of its body is still to come."""
        is_body = self._in_message and not self._in_headers
        return is_body and self.cycle.response_complete and not self._has_ended()

    def _is_busy(self) -> bool:
        return self._served is not None and not self.cycle.response_complete

    def _refuse(self, error: errors.S3Error) -> None:
        """Answer for the parser and end the connection."""
        cycle = self.cycle
        if self._is_busy():
            if self._in_headers:  # of a request behind those being served
                cycle.keep_alive = False
                self._deadline = math.inf
                self._lingers = True
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self._close(STALL_S)
                return
        answer = refusal(error, self._refused, client=self._peer)
        self.write((last_response(error.status, *answer),))
        self._linger()

    def _linger(self) -> None:
        self._lingers = True
        now = self.loop.time()
        self._deadline, self._linger_end = now + LINGER_S, now + LINGER_MOST_S
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # --- the parser's callbacks -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        if self._has_ended():
            raise ValueError("an answer has said that it is the last one")
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._hosts: list[bytes] = []
        self._size = self._silent = self._due = 0
        self._in_message = self._in_headers = True
        self._deadline = self.loop.time() + (DRAIN_S if self._draining else HEADER_S)

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self.url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, of the header section or of the trailer section, which is dropped."""
        if not self._in_headers:
            return
        name = name.lower()
        value = value.rstrip(b" \t")  # httptools takes off what is in front only (RFC 9110, 5.5)
        self.headers.append((name, value))
        if name not in _NOTED:  # most, so that they cost as little as can be
            self._size += len(name) + len(value) + 4
            if self._size > MAX_HEADERS:
                self._fail(errors.RequestHeaderSectionTooLarge())
        elif name == b"range":
            if len(value) > MAX_RANGE:
                self._fail(errors.RequestHeaderSectionTooLarge())
        else:
            self._count(len(name) + len(value) + 4)
            if name == b"host":
                self._hosts.append(value)
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """Start the application, or queue the request behind the one being served."""
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        self._check(version, url)
        path = url.path.decode("ascii")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "extensions": self._extensions,
        }
        is_behind = self._is_busy()
        if is_behind and len(self.pipeline) >= MAX_PIPELINED:
            self._fail(errors.BadRequest("Too many requests were sent ahead of their answers."))
        self.cycle = S3Cycle(
            self,
            scope,
            expects=self.expect_100_continue and version == "1.1",
            keep_alive=version == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()  # what follows would be another protocol
            and not self._draining,
        )
        self._in_headers = False
        self._silent = self._due = 0
        self._deadline = self.loop.time() + STALL_S
        if is_behind:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        elif scope["method"] in _BODILESS and not scope["raw_path"].startswith(b"/-/"):
            self._waits_for_end = True  # which follows at once, unless there is a body all the same
        else:
            self._serve(self.cycle)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._silent = 0
        self._due += len(body)
        self.cycle.add(body)
        if self._waits_for_end:
            self._waits_for_end = False
            self._serve(self.cycle)

    def on_message_complete(self) -> None:
        """The last byte of a request has come."""
        self._in_message = False
        self._silent = 0
        self.cycle.more_body = False
        self.cycle.message_event.set()
        is_idle = self.cycle.response_complete  # answered already: its body was dropped
        self._deadline = self._idle_deadline() if is_idle else math.inf
        if self._waits_for_end:
            self._waits_for_end = False
            if self._eager_left:
                self._eager_left -= 1
                self._serve_at_once(self.cycle)
            else:
                self._serve(self.cycle)

    def on_cycle_complete(self, cycle: S3Cycle) -> None:
        """A response has been written: go on with the next request, or close."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if not cycle.keep_alive:
            if self._lingers or (cycle.more_body and not cycle.is_cut):
                self._linger()
            else:
                self._close(STALL_S)
            return
        if self.pipeline:
            self._serve(self.pipeline.pop()[0])
            return
        self.resume_reading()  # what was held back of a body that nobody wants is dropped
        if self._draining and self._is_unread():
            self._linger()
        elif self._is_between():
            self._deadline = self._idle_deadline()

    def _serve(self, cycle: S3Cycle) -> None:
        self._served = cycle
        self.resume_reading()
        self._start_asgi_task(cycle, self.app)

    def _idle_deadline(self) -> float:
        self._has_answered = True
        return self.loop.time() + (DRAIN_S if self._draining else KEEP_ALIVE_S)

    def _serve_at_once(self, cycle: S3Cycle) -> None:
        self._served = cycle
        task = eager.start(cycle.run_asgi(self.app), self.loop.create_task)
        if task is not None:
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def resume_reading(self) -> None:
        """Read on, unless requests wait behind the one being served: their number is bounded."""
        if not self.pipeline and not self._is_put_off:
            self.flow.resume_reading()

    # --- checks ---------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEADERS:
            self._fail(errors.RequestHeaderSectionTooLarge())

    def _check(self, version: str, url: Any) -> None:
        """Refuse what two readers of HTTP could understand in two ways."""
        if len(self.headers) > MAX_FIELDS:
            self._fail(errors.RequestHeaderSectionTooLarge())
        if len(self._hosts) > 1 or (not self._hosts and version == "1.1"):
            self._fail(errors.BadRequest("The request needs exactly one Host header."))
        if url.host is not None:
            authority = url.host if url.port is None else b"%s:%d" % (url.host, url.port)
            if self._hosts != [authority]:
                self._fail(errors.BadRequest("The request target and Host name different hosts."))
        if version == "1.0" and any(name == b"transfer-encoding" for name, _ in self.headers):
            self._fail(errors.BadRequest("HTTP/1.0 has no Transfer-Encoding."))

    def _fail(self, error: errors.S3Error) -> None:
        self._refusal = error
        raise ValueError(error.message)
