"""Commands about lifecycle rules; they work whether the server runs or not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file, table

lifecycle = typer.Typer(no_args_is_help=True)

Url = Annotated[str, typer.Argument(metavar="s3://BUCKET/KEY", help="What to explain.")]

_COLUMNS = ("action", "rule", "at", "version", "locked")


@lifecycle.command("explain")
def explain(
    url: Url, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Tell what the rules of its bucket will do to a key, and when."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not (url.startswith("s3://") and bucket and key):
        raise typer.BadParameter("name a key as s3://BUCKET/KEY")
    rows = asyncio.run(_explain(settings_file(config, directory), bucket, key))
    nothing = "No rule is about a version or an upload of this key."
    emit(rows, as_json=as_json, text=table(rows, _COLUMNS) if rows else nothing)


@lifecycle.command("status")
def status(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Tell what the last run did, and what waits for the next one."""
    found = asyncio.run(_status(settings_file(config, directory)))
    emit(found, as_json=as_json, text="\n".join(f"{key}: {value}" for key, value in found.items()))


async def _explain(settings: Path, bucket_name: str, key: str) -> list[dict[str, Any]]:
    from s3server.expiry import open_rules  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    async with open_rules(load(settings)) as opened:
        bucket = await opened.buckets.get(bucket_name)
        return [
            {
                "action": due.action,
                "rule": due.rule,
                "at": _text(due.at_ms),
                "version": _version(due),
                "locked": opened.is_locked(due),
            }
            async for due in opened.lifecycle.schedule(bucket, key)
        ]


def _version(due: Any) -> str:
    if due.upload is not None:
        return f"upload {due.upload.id.hex()}"
    return due.version.version_id or "null"


async def _status(settings: Path) -> dict[str, Any]:
    from s3server.expiry import open_rules  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    async with open_rules(load(settings)) as opened:
        report, due, first_ms = await opened.lifecycle.report(opened.clock.now_ms())
    found: dict[str, Any] = {"waiting": due, "next": _text(first_ms) if first_ms else "never"}
    if report is not None:
        counts = ("keys", "expired", "markers", "noncurrent", "uploads", "locked")
        found |= {"since": _text(report.since_ms), "until": _text(report.until_ms)}
        found |= {name: getattr(report, name) for name in counts}
    return found


def _text(time_ms: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
