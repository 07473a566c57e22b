"""The log: lines for people on a terminal, JSON lines everywhere else; always on stderr.

Nothing that a client sent can forge a line or drive a terminal: control characters are escaped.
Every line names its process. What nobody caught, and what libraries warn of, are lines too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


Form = Literal["auto", "json", "text"]


class _Output:
    """Where lines of requests go at once, past structlog: they are many, and it takes 40 us."""

    handler: logging.StreamHandler[TextIO] | None = None  # None: not as JSON
    process = ""


def configure(*, stream: TextIO | None = None, form: Form = "auto", process: str = "") -> None:
    """Send what structlog and the standard library log, from INFO up, to `stream`.

    `form` is that of the lines; "auto" asks whether the stream is a terminal. `process` is the
    name of the calling process, which each line has.
    """
    stream = stream or sys.stderr
    human = stream.isatty() if form == "auto" else form == "text"
    shared: list[Any] = [
        _name_process,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if human:
        # Not structlog's default, which prints local variables, secrets and signatures among them.
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
        last += [escape_controls, console]
    else:
        last += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    _Output.handler, _Output.process = (None if human else handler), process
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def escape_controls(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace control characters in the text of an event; the renderer escapes its values."""
    event["event"] = escaped(str(event["event"]))
    return event


def escaped(text: str) -> str:
    """Return a text without control characters: neither does it end a line nor drive a terminal."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def process_name() -> str:
    """Return the name of this process, as configured."""
    return _Output.process


def write_line(level: Literal["info", "error"], event: str, fields: Mapping[str, object]) -> None:
    """Write a line of what happens at every request; `fields` have text and numbers only."""
    handler = _Output.handler
    if handler is None or handler not in logging.getLogger().handlers:
        structlog.get_logger().log(logging.getLevelName(level.upper()), event, **fields)
        return
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": event, "level": level, "timestamp": now, "process": _Output.process, **fields}
    try:
        with handler.lock:  # type: ignore[union-attr] # it is None in no handler of ours
            handler.stream.write(json.dumps(line) + "\n")
            handler.stream.flush()
    except (OSError, ValueError):
        handler.handleError(logging.makeLogRecord({"msg": event}))


def _name_process(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if _Output.process:
        event["process"] = _Output.process
    return event


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger().critical("the process ends", exc_info=(kind, error, trace))
