"""A result for people: PNG figures, and one self-contained HTML page with all there is to know."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path

import msgspec
from lxml import etree
from lxml.html import builder as html

from bench.plots import figures
from bench.result import Point, Result

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
img { max-width: 100% } .errors { color: #a00 }
"""
_HEADINGS = (
    "operation", "requests", "round", "op/s", "MB/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms",
    "max ms", "errors", "never sent", "client CPUs",
)  # fmt: skip


def drawn(result: Result) -> dict[str, bytes]:
    """Return the figures as PNG, by name."""
    found = {}
    for name, figure in figures(result).items():
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=110)
        found[name] = image.getvalue()
    return found


def write_plots(result: Result, directory: Path, stem: str) -> list[Path]:
    """Write each figure to `stem`-NAME.png; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, image in drawn(result).items():
        paths.append(directory / f"{stem}-{name}.png")
        paths[-1].write_bytes(image)
    return paths


def write_page(result: Result, path: Path) -> None:
    """Write the page: figures, every point, and how it was measured; it needs no other file."""
    images = [
        html.IMG(src=f"data:image/png;base64,{b64encode(image).decode()}", alt=name)
        for name, image in drawn(result).items()
    ]
    about = msgspec.to_builtins(result.experiment) | msgspec.to_builtins(result.client)
    page = html.HTML(
        html.HEAD(
            html.META(charset="utf-8"), html.TITLE(f"s3bench: {result.title}"), html.STYLE(_STYLE)
        ),
        html.BODY(
            html.H1(result.title),
            html.P(f"Measured by s3bench from {result.started} on."),
            *images,
            html.H2("Points"),
            html.TABLE(html.TR(*map(html.TH, _HEADINGS)), *map(_row, result.points)),
            *_failures(result),
            html.H2("Experiment"),
            html.TABLE(
                *(
                    html.TR(html.TD(name.replace("_", " ")), html.TD(str(value)))
                    for name, value in about.items()
                )
            ),
        ),
    )
    text = etree.tostring(page, method="html", doctype="<!DOCTYPE html>", encoding="utf-8")
    path.write_bytes(text)


def _row(point: Point) -> etree._Element:
    late = point.latency_ms
    busy = " (at its limit)" if point.is_client_busy else ""
    cells = (
        point.op,
        str(point.connections),
        str(point.round),
        f"{point.ops_per_s:,.1f}",
        f"{point.mb_per_s:,.1f}",
        *(f"{value:,.2f}" for value in (late.p50, late.p90, late.p99, late.p99_9, late.max)),
        str(sum(point.errors.values())),
        str(point.unsent),
        f"{point.client_cpus:.2f}{busy}",
    )
    row: etree._Element = html.TR(*map(html.TD, cells))
    return row


def _failures(result: Result) -> list[etree._Element]:
    """Return what went wrong, by name, and the first unexpected answer of each point."""
    failed = [one for one in result.points if one.errors]
    if not failed:
        return [html.P("No errors.")]
    rows = [
        html.TR(
            html.TD(one.op),
            html.TD(str(one.connections)),
            html.TD(name),
            html.TD(str(count)),
            html.TD(one.error_sample),
        )
        for one in failed
        for name, count in one.errors.items()
    ]
    heads = ("operation", "requests", "error", "number", "first answer")
    return [
        html.H2("Errors"),
        html.TABLE(html.CLASS("errors"), html.TR(*map(html.TH, heads)), *rows),
    ]
