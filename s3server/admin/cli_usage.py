"""Commands for quotas and usage; they work whether the server runs or not."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from msgspec.structs import asdict, replace

from s3server.admin.output import ConfigFile, Directory, Json, emit, table
from s3server.admin.tenants import OnlyProject, ProjectName, run

if TYPE_CHECKING:
    from s3server.core.accounts import Account
    from s3server.maintenance import Tenants

quotas = typer.Typer(no_args_is_help=True)

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
          "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40, "PI": 2**50}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([KMGTP]I?|)B?", re.IGNORECASE)
SHOWN = (
    "project",
    "name",
    "tb_days",
    "bytes",
    "objects",
    "requests",
    "received",
    "sent",
)
QUOTA = ("scope", "name", "bytes", "objects", "buckets", "used_bytes", "used_objects",
         "used_buckets")  # fmt: skip


def size(text: str) -> int:
    """Return a count of bytes: "10TiB", "2.5 GB", "1000"."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text}: expected a size like 10TiB, 500GB or 1000")
    return round(float(found[1]) * _UNITS[found[2].upper()])


User = Annotated[str | None, typer.Option("--user", help="Name of a user, of --project.")]
Bucket = Annotated[str | None, typer.Option("--bucket", help="Name of a bucket.")]


def _check_scope(project: str | None, user: str | None, bucket: str | None) -> None:
    """Refuse names of which one would go unheard: a quota is on one thing."""
    if bucket is not None and (project, user) != (None, None):
        raise typer.BadParameter("--bucket stands alone: names of buckets are the whole store's")


@quotas.command("set")
def set_quota(
    *,
    project: ProjectName = None,
    user: User = None,
    bucket: Bucket = None,
    bytes_: Annotated[
        int | None,
        typer.Option("--bytes", parser=size, help="Bytes: 10TiB; versions count."),
    ] = None,
    objects: Annotated[int | None, typer.Option(min=0, help="Objects; versions count.")] = None,
    buckets: Annotated[int | None, typer.Option(min=0, help="Buckets.")] = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Limit what a project, a user or a bucket may hold; what is not named stays as it was."""
    _check_scope(project, user, bucket)
    named = {"bytes": bytes_, "objects": objects, "buckets": buckets}
    given = {name: limit for name, limit in named.items() if limit is not None}
    if not given:
        raise typer.BadParameter("give --bytes, --objects or --buckets")
    if buckets is not None and bucket is not None:
        raise typer.BadParameter("a bucket holds no buckets")

    async def work(tenants: Tenants) -> dict[str, Any]:
        scope = await tenants.scope(project, user, bucket)
        now = await tenants.quotas.get(scope)
        await tenants.quotas.put(scope, replace(now, **given))
        return await _quota(tenants, project, user, bucket)

    row = run(work, config, directory)
    emit(row, as_json=as_json, text=table([row], QUOTA))


@quotas.command("show")
def show_quota(
    *,
    project: ProjectName = None,
    user: User = None,
    bucket: Bucket = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show a quota, and how much of it is used."""
    _check_scope(project, user, bucket)

    async def work(tenants: Tenants) -> dict[str, Any]:
        return await _quota(tenants, project, user, bucket)

    row = run(work, config, directory)
    emit(row, as_json=as_json, text=table([row], QUOTA))


@quotas.command("clear")
def clear_quota(
    *,
    project: ProjectName = None,
    user: User = None,
    bucket: Bucket = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Remove a quota."""
    _check_scope(project, user, bucket)

    async def work(tenants: Tenants) -> dict[str, Any]:
        scope = await tenants.scope(project, user, bucket)
        now = await tenants.quotas.get(scope)
        nothing = dict.fromkeys(now.__struct_fields__)
        await tenants.quotas.put(scope, replace(now, **nothing))
        return await _quota(tenants, project, user, bucket)

    row = run(work, config, directory)
    emit(row, as_json=as_json, text=table([row], QUOTA))


async def _quota(
    tenants: Tenants, project: str | None, user: str | None, bucket: str | None
) -> dict[str, Any]:
    scope = await tenants.scope(project, user, bucket)
    held = await tenants.accounts.held(scope)
    return {
        "scope": "bucket" if bucket else "user" if user else "project",
        "name": bucket or user or project or "default",
        **asdict(await tenants.quotas.get(scope)),
        "used_bytes": held.bytes,
        "used_objects": held.objects + held.versions + held.markers + held.uploads,
        "used_buckets": held.buckets,
    }


By = Annotated[
    Literal["project", "bucket", "user", "day"], typer.Option(help="What a row is about.")
]
Year = Annotated[int | None, typer.Option(min=1970, max=9999, help="Year; this one.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


def usage(
    *,
    project: OnlyProject = None,
    by: By = "project",
    year: Year = None,
    as_csv: Csv = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Tell what was used in a year, and what is held now."""
    show_usage(
        project,
        by=by,
        year=year,
        as_csv=as_csv,
        config=config,
        directory=directory,
        as_json=as_json,
    )


def show_usage(
    project: str | None,
    *,
    by: By,
    year: int | None,
    as_csv: bool,
    config: Path | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Print what was used in a year."""
    wanted = datetime.now(UTC).year if year is None else year

    async def work(tenants: Tenants) -> list[dict[str, Any]]:
        if project is None:
            of = await tenants.projects.list_projects()
        else:
            of = [await tenants.projects.get(project)]
        return [
            _row(account)
            for each in of
            for account in await tenants.accounts.report(
                each, by, first=f"{wanted:04}0101", last=f"{wanted:04}1231"
            )
        ]

    rows = run(work, config, directory)
    emit(rows, as_json=as_json, text=_csv(rows) if as_csv else table(rows, SHOWN))


def _row(account: Account) -> dict[str, Any]:
    used, held = account.used, account.held
    return {
        "project": account.project,
        "name": account.name,
        "tb_days": round(used.tb_days, 6),
        "byte_hours": used.byte_hours,
        "live_byte_hours": used.live_byte_hours,
        "old_byte_hours": used.old_byte_hours,
        "part_byte_hours": used.part_byte_hours,
        "hours": used.hours,
        "requests": used.requests,
        "received": used.received,
        "sent": used.sent,
        "bytes": held.bytes,
        "live_bytes": held.live_bytes,
        "old_bytes": held.old_bytes,
        "part_bytes": held.part_bytes,
        "waiting_bytes": held.waiting_bytes,
        "objects": held.objects,
        "versions": held.versions,
        "markers": held.markers,
        "uploads": held.uploads,
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else SHOWN, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
