"""Two results held against each other, point by point: ratios A/B and how far they spread."""

from __future__ import annotations

from statistics import median
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.errors import BenchError
from bench.result import LARGE, Point, Result

Same = tuple[str, int, int, float | None]  # what two points must share to be compared
_WIDTH = 110  # of a table that nobody looks at in a terminal


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A divided by B, of the medians; `low` and `high` are the extremes that rounds allow."""

    op: str
    size: int
    connections: int
    offered_per_s: float | None
    figure: str
    a: float
    b: float
    ratio: float
    low: float
    high: float
    p99_ratio: float | None  # of latency: above 1, A is slower
    errors_a: int
    errors_b: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def figure_of(op: str, size: int) -> str:
    """Return what an operation is judged by: bytes for large objects, else requests."""
    return "mb_per_s" if op in {"put", "get"} and size >= LARGE else "ops_per_s"


def by_point(result: Result) -> dict[Same, list[Point]]:
    """Return the rounds of each point."""
    found: dict[Same, list[Point]] = {}
    for one in result.points:
        same = (one.op, one.size, one.connections, one.offered_per_s)
        found.setdefault(same, []).append(one)
    return found


def compare(a: Result, b: Result) -> list[Ratio]:
    """Return the ratios of the points that both have. BenchError where there are none."""
    ours, theirs = by_point(a), by_point(b)
    found = [_ratio(same, ours[same], theirs[same]) for same in ours if same in theirs]
    if not found:
        raise BenchError("the results have no operation, size and number of requests in common")
    return found


def _ratio(same: Same, a: list[Point], b: list[Point]) -> Ratio:
    op, size, connections, offered_per_s = same
    figure = figure_of(op, size)
    values = [sorted(float(getattr(one, figure)) for one in rounds) for rounds in (a, b)]
    if values[1][0] <= 0:
        raise BenchError(f"B completed no {op} with {connections} requests: there is no ratio")
    tails = [median(one.latency_ms.p99 for one in rounds) for rounds in (a, b)]
    middle = [median(one) for one in values]
    return Ratio(
        op=op,
        size=size,
        connections=connections,
        offered_per_s=offered_per_s,
        figure=figure,
        a=middle[0],
        b=middle[1],
        ratio=round(middle[0] / middle[1], 3),
        low=round(values[0][0] / values[1][-1], 3),
        high=round(values[0][-1] / values[1][0], 3),
        p99_ratio=round(tails[0] / tails[1], 3) if tails[1] else None,
        errors_a=sum(sum(one.errors.values()) for one in a),
        errors_b=sum(sum(one.errors.values()) for one in b),
    )


def table(found: list[Ratio], a: str, b: str) -> None:
    """Print the ratios for people, whole where the output is no terminal."""
    shown = Table(title=f"{a} / {b}", box=box.SIMPLE)
    for column in (
        "operation",
        "requests",
        "figure",
        "A",
        "B",
        "A/B",
        "spread",
        "p99 A/B",
        "errors",
    ):
        shown.add_column(column, justify="left" if column in {"operation", "figure"} else "right")
    for one in found:
        shown.add_row(
            one.op,
            str(one.connections),
            one.figure.replace("_per_", "/"),
            f"{one.a:,.1f}",
            f"{one.b:,.1f}",
            f"{one.ratio:.2f}",
            f"{one.low:.2f}-{one.high:.2f}",
            "" if one.p99_ratio is None else f"{one.p99_ratio:.2f}",
            f"{one.errors_a} / {one.errors_b}",
        )
    console = Console()
    Console(width=console.width if console.is_terminal else _WIDTH).print(shown)
