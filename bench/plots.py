"""The figures of a result, as site B drew them: rates against simultaneous requests."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.comparison import by_point, figure_of
from bench.result import Point, Result

_LABELS = {"put": "upload", "get": "download"}
_UNITS = {"ops_per_s": "operations per second", "mb_per_s": "MB per second"}
Lines = dict[str, dict[int, list[Point]]]  # operation, simultaneous requests, rounds


def figures(result: Result) -> dict[str, Figure]:
    """Return the figures by name: a rate and the latencies for each size of objects."""
    sizes: dict[tuple[str, int], Lines] = {}
    for (op, size, connections, _), rounds in by_point(result).items():
        lines = sizes.setdefault((figure_of(op, size), size), {})
        lines.setdefault(op, {})[connections] = rounds
    found = {}
    for (figure, size), lines in sizes.items():
        found[f"{figure}-{size}"] = _rates(result, figure, size, lines)
        found[f"latency-{figure}-{size}"] = _latencies(result, size, lines)
    return found


def _rates(result: Result, figure: str, size: int, lines: Lines) -> Figure:
    drawing, axes = _axes(result, size, lines, _UNITS[figure])
    for op, by_connections in lines.items():
        values = [[getattr(one, figure) for one in rounds] for rounds in by_connections.values()]
        middle = [median(one) for one in values]
        spread = (
            [mid - min(one) for mid, one in zip(middle, values, strict=True)],
            [max(one) - mid for mid, one in zip(middle, values, strict=True)],
        )
        axes.errorbar(
            _places(by_connections, lines),
            middle,
            yerr=spread,
            marker="o",
            capsize=3,
            label=_LABELS.get(op, op),
        )
    axes.set_ylim(bottom=0)
    axes.legend()
    return drawing


def _latencies(result: Result, size: int, lines: Lines) -> Figure:
    drawing, axes = _axes(result, size, lines, "latency in milliseconds")
    for op, by_connections in lines.items():
        for name, style in (("p50", "-"), ("p99", "--")):
            middle = [
                median(getattr(one.latency_ms, name) for one in rounds)
                for rounds in by_connections.values()
            ]
            places = _places(by_connections, lines)
            axes.plot(places, middle, style, marker="o", label=f"{_LABELS.get(op, op)} {name}")
    axes.set_yscale("log")
    axes.legend()
    return drawing


def _axes(result: Result, size: int, lines: Lines, unit: str) -> tuple[Figure, Axes]:
    drawing = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    ticks = _ticks(lines)
    axes.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
    axes.set_xlabel("simultaneous requests")
    axes.set_ylabel(unit)
    axes.set_title(f"{result.title}: {subtitle(result, size)}", fontsize="medium")
    axes.grid(axis="y", alpha=0.3)
    return drawing, axes


def _ticks(lines: Lines) -> list[int]:
    return sorted({connections for one in lines.values() for connections in one})


def _places(by_connections: dict[int, list[Point]], lines: Lines) -> list[int]:
    """Return places in equal steps, as the numbers themselves rise too fast for an axis."""
    ticks = _ticks(lines)
    return [ticks.index(connections) for connections in by_connections]


def subtitle(result: Result, size: int) -> str:
    """Return the parameters that site B wrote above its figure."""
    one = result.experiment
    return (
        f"{readable(size)} objects, {one.buckets} buckets, {one.accounts} accounts, "
        f"{one.processes} client processes"
    )


def readable(size: int) -> str:
    """Return a size as people write it, where it is a round one."""
    for name, unit in (("GB", 10**9), ("MB", 10**6), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size / 10**6:,.0f} MB" if size >= 10**6 else f"{size} B"


def scan_figure(result: dict[str, Any]) -> Figure:
    """Return the figure of a scan: wall clock relative to the local disk, as site B drew it."""
    drawing = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    ratios = {"local": dict.fromkeys(("min", "median", "max"), 1.0), **result["ratio_to_local"]}
    middle = [one["median"] for one in ratios.values()]
    spread = (
        [one["median"] - one["min"] for one in ratios.values()],
        [one["max"] - one["median"] for one in ratios.values()],
    )
    bars = axes.barh(list(ratios), middle, xerr=spread, capsize=3)
    axes.bar_label(bars, [f"{one:.2f}" for one in middle], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set_xlabel("wall clock time relative to the local disk (shorter is better)")
    axes.set_title(f"scan of a file of {readable(result['size'])}", fontsize="medium")
    return drawing
