"""The command that shows how a store is, once or until it is interrupted."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3server.admin.output import (
    ConfigFile,
    Directory,
    Json,
    emit,
    settings_file,
    show_bytes,
    table,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

Watch = Annotated[bool, typer.Option("--watch", help="Show it until interrupted, with progress.")]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Return once the running server has probed OSDs that are back, and has repaired and "
        "moved all that it has to; it is said what is waited for.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, help="With --wait: fail after so long; 0: never."),
]

OSD_COLUMNS = ("osd", "state", "used_percent", "journal", "path", "reason")
JOB_COLUMNS = ("job", "state", "progress", "updated", "note")
_EVERY_S = 2.0
_LOOKS_AT_RETURNED = 8  # within which a running server has probed it twice (jobs/probe.py)


def status(
    *,
    watch: Watch = False,
    wait: Wait = False,
    timeout: Timeout = 0.0,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show health, OSDs and background jobs."""
    from s3server import logs  # noqa: PLC0415
    from s3server.admin.status import status_of  # noqa: PLC0415
    from s3server.meta.base import UnavailableError  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415
    from s3server.standing import awaited, has_returned  # noqa: PLC0415

    logs.configure()
    settings = load(settings_file(config, directory))
    found, looks, told = asyncio.run(status_of(settings)), 0, ""
    ends_s = time.monotonic() + (timeout or math.inf)

    def goes_on() -> bool:
        if not wait:
            return watch
        return bool(awaited(found)) or (has_returned(found) and looks < _LOOKS_AT_RETURNED)

    with _live(found) if watch else nullcontext() as live:
        while goes_on():
            if wait and found["server"] is None:
                raise UnavailableError("no server runs: nobody repairs or moves what is waited for")
            if wait and time.monotonic() >= ends_s:
                raise TimeoutError(f"not done after {timeout:g} s: {awaited(found)}")
            what = awaited(found) or "OSDs that are down are probed"
            if wait and not watch and what != told:
                typer.echo(f"waiting: {what}", err=True)
                told = what
            time.sleep(_EVERY_S)
            found, looks = asyncio.run(status_of(settings)), looks + 1
            if live is not None:
                live.update(_picture(found))
    if not watch:
        emit(found, as_json=as_json, text=_text(found))


def _live(found: dict[str, Any]) -> Live:
    from rich.live import Live  # noqa: PLC0415

    return Live(_picture(found), refresh_per_second=4)


def _text(found: dict[str, Any]) -> str:
    from s3server.standing import progress_text  # noqa: PLC0415

    jobs = [
        {**job, "progress": progress_text(job), "updated": _time(job["updated_ms"])}
        for job in found["jobs"]
    ]
    parts = [_headline(found), _osds(found), table(jobs, JOB_COLUMNS)]
    return "\n\n".join(parts)


def _osds(found: dict[str, Any]) -> str:
    """Return the OSDs, with what the metadata's journal and snapshots take of each."""
    sizes = [osd["journal_bytes"] for osd in found["osds"]]
    told = [None if size is None else show_bytes(size) for size in sizes]
    rows = [osd | {"journal": size} for osd, size in zip(found["osds"], told, strict=True)]
    return table(rows, OSD_COLUMNS)


def _headline(found: dict[str, Any]) -> str:
    from s3server.admin.status import server_text  # noqa: PLC0415

    counts = ", ".join(f"{count} {what}" for what, count in found["repairs"].items())
    pools = ", ".join(f"{pool['name']} ({pool['codec']})" for pool in found["pools"])
    return "\n".join(
        (
            found["health"],
            server_text(found["server"]),
            f"epoch {found['epoch']}; pools: {pools}; blobs: {counts}",
        )
    )


def _picture(found: dict[str, Any]) -> RenderableType:
    """Return what --watch shows: the text, and a bar for every job that knows how far it is.

    Jobs that have nothing to tell share a line: the others must not fall off a screen of 24.
    """
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from s3server.standing import progress_text  # noqa: PLC0415

    bars, silent = Table.grid(padding=(0, 2)), []
    for job in found["jobs"]:
        if job["state"] == "idle" and not (job["total"] or job["note"]):
            silent.append(job["job"])
            continue
        bar = ProgressBar(max(job["total"], 1), job["done"], width=30) if job["total"] else ""
        bars.add_row(job["job"], job["state"], bar, progress_text(job), Text(job["note"]))
    osds = Text(_osds(found))
    idle = Text(f"nothing to do: {', '.join(silent)}" if silent else "")
    return Group(Text(_headline(found)), Text(), osds, Text(), bars, Text(), idle)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") + "Z"
