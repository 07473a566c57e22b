"""The log's two forms, and that nobody can forge a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from s3server import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_are_json_where_no_terminal_reads_them() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger().info("stored", key="a\nb", size=3)
    line = json.loads(stream.getvalue())

    assert (line["event"], line["key"], line["size"], line["level"]) == (
        "stored",
        "a\nb",
        3,
        "info",
    )
    assert stream.getvalue().count("\n") == 1


def test_lines_of_libraries_have_the_same_form() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    logging.getLogger("uvicorn.error").warning("odd %s", "thing")

    assert json.loads(stream.getvalue())["event"] == "odd thing"


def test_control_characters_are_escaped_for_people() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, form="text")
    structlog.get_logger().warning("bad\x1b[2J name", key="x\r\nFORGED \u2028\x9b")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b[2J" not in stream.getvalue()
    assert "bad\\x1b[2J name" in stream.getvalue()
    assert "\\r\\nFORGED \\u2028\\x9b" in stream.getvalue()


def test_exceptions_are_one_json_line() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(stream.getvalue())

    assert "ValueError: invalid literal" in line["exception"]
    assert stream.getvalue().count("\n") == 1
