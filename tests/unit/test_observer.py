"""Lines of the log about requests: one for each, but for a flood of refusals."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from s3server import logs
from s3server.core.clock import SystemClock
from s3server.counters import Counters, layout_of, read_counts
from s3server.listeners import Listeners
from s3server.observer import Answered, Logged, Observer

REFUSED = Answered(request_id="R", method="GET", status=503, code="SlowDown")
FAILED = Answered(request_id="F", method="GET", status=500, code="InternalError")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def observer(logged: Logged, counters: Counters) -> Observer:
    return Observer(counters, Listeners(None), SystemClock(), logged=logged)


def lines_of(log: io.StringIO) -> list[tuple[str, int]]:
    """Return of each line the code, and how many requests it sums up."""
    lines = map(json.loads, log.getvalue().splitlines())
    return [(line.get("code", ""), line.get("without_line", 0)) for line in lines]


@pytest.mark.parametrize("logged", ["errors", "failures"])
def test_flood_of_refusals_is_a_line_and_a_sum_each_second_and_counts_whole(
    logged: Logged, tmp_path: Path, log: io.StringIO
) -> None:
    counters = Counters(tmp_path, 0, layout_of([], ["SlowDown", "InternalError"]))
    told = observer(logged, counters)
    for flood in (1_000, 1, 0, 2):  # of a second
        for _ in range(flood):
            told.see(REFUSED)
        told.see(FAILED)
        told.look()
    told.see(REFUSED)
    told.see(REFUSED)
    told.close()
    failed, refused = ("InternalError", 0), ("SlowDown", 0)
    assert lines_of(log) == [
        *(refused, failed, ("", 999)),
        *(refused, failed),
        failed,
        *(refused, failed, ("", 1)),
        *(refused, ("", 1)),
    ]
    assert read_counts(tmp_path)[1] == {"SlowDown": 1_005, "InternalError": 4}


def test_each_refusal_has_a_line_where_all_requests_have_one(log: io.StringIO) -> None:
    told = observer("all", Counters(None, 0, layout_of([], ["SlowDown"])))
    for _ in range(3):
        told.see(REFUSED)
    told.look()
    assert lines_of(log) == [("SlowDown", 0)] * 3
