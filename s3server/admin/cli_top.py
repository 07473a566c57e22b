"""The command that shows what a server is doing."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from s3server.admin.output import ConfigFile, Directory, Json, settings_file, table

if TYPE_CHECKING:
    from s3server.config import Config

OPERATIONS = (
    "operation", "per_s", "failed_per_s", "p50_ms", "p99_ms", "received_mib_s", "sent_mib_s",
)  # fmt: skip
BUCKETS = ("bucket", "per_s", "mib_s")
OSDS = ("osd", "state", "used_percent", "reason")
JOBS = ("job", "state", "progress", "note")


def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it once.")] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How often.")] = 2.0,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show requests per second, times, errors, busy buckets, OSDs and jobs, until interrupted."""
    from s3server import logs  # noqa: PLC0415
    from s3server.admin.top import rates, sample  # noqa: PLC0415 (slow to load)
    from s3server.meta.owner import act_as_owner  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    settings = load(settings_file(config, directory))
    meta_dir = settings.storage.meta_dir
    act_as_owner(meta_dir)
    before = sample(meta_dir)

    def next_figures() -> dict[str, Any]:
        nonlocal before
        time.sleep(every)
        after = sample(meta_dir)
        found = rates(before, after) | _standing(settings)
        before = after
        return found

    if sys.stdout.isatty() and not (once or as_json):
        _show(next_figures)
    while True:
        found = next_figures()
        print(json.dumps(found) if as_json else _text(found) + "\n", flush=True)
        if once:
            break


def _standing(config: Config) -> dict[str, Any]:
    from s3server.admin.status import status_of  # noqa: PLC0415
    from s3server.standing import progress_text  # noqa: PLC0415

    found = asyncio.run(status_of(config))
    jobs = [{**job, "progress": progress_text(job)} for job in found["jobs"]]
    told = ("health", "server", "epoch", "repairs", "osds")
    return {name: found[name] for name in told} | {"jobs": jobs}


def _show(next_figures: Callable[[], dict[str, Any]]) -> NoReturn:
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(Text("..."), auto_refresh=False, screen=True) as live:
        while True:
            live.update(Text(_text(next_figures())), refresh=True)


def _text(found: dict[str, Any]) -> str:
    from s3server.admin.status import server_text  # noqa: PLC0415

    errors = ", ".join(f"{code} {rate}" for code, rate in found["errors_per_s"].items())
    busy = [job for job in found["jobs"] if job["state"] != "idle"]
    head = (
        f"{found['health']}, epoch {found['epoch']}, {server_text(found['server'])}\n"
        f"{found['requests_per_s']} requests/s, {found['received_mib_s']} MiB/s in, "
        f"{found['sent_mib_s']} MiB/s out; errors/s: {errors or 'none'}"
    )
    return "\n\n".join(
        (
            head,
            table(found["operations"], OPERATIONS),
            table(found["buckets"], BUCKETS),
            table(found["osds"], OSDS),
            table(busy, JOBS) if busy else "no job has work",
        )
    )
