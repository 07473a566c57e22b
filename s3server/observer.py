"""What became of each request: counted, and told to the log and to whoever listens.

An answer's `x-amz-request-id` is the `request_id` of its line. Lines name no query, whose
signatures and tokens are secrets, and no field but those of `Answered`. Where not all requests are
logged, a flood of those that are told to slow down has two lines per second of each process: for
the first, and for how many more there were. Lines cost most when a machine has no time to spare.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec
import structlog

from s3server import logs
from s3server.core.clock import Clock
from s3server.counters import Counters
from s3server.errors import SlowDown
from s3server.listeners import Listeners

Logged = Literal["all", "errors", "failures"]

UNREAD = "-"  # the operation of what was refused before it was known
_LOGGED_FROM: dict[Logged, int] = {"all": 0, "errors": 400, "failures": 500}
_ERROR = 400

_log = structlog.get_logger()


class Answered(msgspec.Struct, gc=False, omit_defaults=True):
    """One request and its answer."""

    request_id: str
    method: str
    status: int
    at_ms: int = 0  # when it came; 0: reckoned from `total_ms`
    operation: str = UNREAD
    bucket: str = ""
    key: str = ""
    path: str = ""  # as sent, where no bucket is known
    code: str = ""  # of the error
    reason: str = ""  # what was wrong, or why the answer ended before its end
    client: str = ""  # address
    user: str = ""  # ARN, "root", or "" for nobody
    access_key: str = ""
    received: int = 0  # bytes of bodies
    sent: int = 0
    first_byte_ms: float = 0.0  # until the answer was known
    total_ms: float = 0.0  # until its last byte was given to the system
    process: str = ""
    traceparent: str = ""  # the client's place in a trace, as sent (W3C Trace Context)
    is_fault: bool = False  # of ours, not of the client


class Tracer(Protocol):
    """Takes requests as spans of traces: `spans.Spans`."""

    def record(self, answered: Answered, /) -> None: ...

    def close(self) -> None: ...


class Observer:
    """What a worker tells of its requests."""

    def __init__(
        self,
        counters: Counters,
        listeners: Listeners,
        clock: Clock,
        *,
        logged: Logged,
        tracer: Tracer | None = None,
    ) -> None:
        self.counters, self._tracer = counters, tracer
        self._listeners, self._clock = listeners, clock
        self._logged_from, self._logs_all = _LOGGED_FROM[logged], logged == "all"
        self._slowed = 0  # requests that were told to slow down in this second
        self._always = self._logs_all or tracer is not None
        self.wants_all = self._always  # anybody wants more of requests that succeed than a count

    def see(self, answered: Answered) -> None:
        """Count a request, and tell of it."""
        counters, status = self.counters, answered.status
        counters.add(
            counters.row(answered.operation),
            counters.status(status),
            round(answered.total_ms * 1000),
            answered.received,
            answered.sent,
        )
        if answered.code:
            counters.add_error(answered.code)
        self.tell(answered)

    def tell(self, answered: Answered) -> None:
        """Tell of a request that was counted already."""
        status = answered.status
        is_cut = status < _ERROR and answered.reason != ""
        is_logged = status >= self._logged_from or is_cut
        if answered.code == SlowDown.code and not self._logs_all:
            self._slowed += 1
            is_logged = self._slowed == 1
        if not (is_logged or self._listeners or self._tracer):
            return
        answered.at_ms = answered.at_ms or self._clock.now_ms() - round(answered.total_ms)
        answered.process = logs.process_name()
        if is_logged:
            level: Literal["info", "error"] = "error" if answered.is_fault else "info"
            logs.write_line(level, "request", _fields(answered))
        if self._listeners:
            self._listeners.tell(msgspec.json.encode(answered))
        if self._tracer is not None:
            self._tracer.record(answered)

    def look(self) -> None:
        """See who listens, and sum up what has no line; to be called every second."""
        self._sum_up()
        self._listeners.look()
        self.wants_all = self._always or bool(self._listeners)

    def close(self) -> None:
        """Tell nobody any more."""
        self._sum_up()
        self._listeners.close()
        if self._tracer is not None:
            self._tracer.close()

    def _sum_up(self) -> None:
        if self._slowed > 1:
            _log.warning("requests were told to slow down", without_line=self._slowed - 1)
        self._slowed = 0


def _fields(answered: Answered) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(answered)
    at = datetime.fromtimestamp(answered.at_ms / 1000, UTC)
    fields["began"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    del fields["at_ms"]
    for name in ("process", "is_fault"):
        fields.pop(name, None)
    return fields
