"""Commands for projects; they work whether the server runs or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from s3server.admin.cli_usage import By, Csv, Year, show_usage, size
from s3server.admin.output import ConfigFile, Directory, Json, emit, show_time, table, utc_ms
from s3server.admin.tenants import run

if TYPE_CHECKING:
    from s3server.core.project_records import ProjectRecord
    from s3server.maintenance import Tenants

projects = typer.Typer(no_args_is_help=True)

DAY_MS = 86_400_000
COLUMNS = ("name", "id", "state", "owner", "start", "end", "disabled_at")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the project.")]
Owner = Annotated[str | None, typer.Option(help="Who answers for it; a name, an address.")]
Start = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="First day, UTC; from now on."),
]
End = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Last day, UTC, not past; none."),
]
Notice = Annotated[int | None, typer.Option(min=0, help="Days before the end to announce it.")]
Grace = Annotated[int | None, typer.Option(min=0, help="Days to read after the end.")]


@projects.command("create")
def create(
    name: Name,
    *,
    owner: Owner = None,
    start: Start = None,
    end: End = None,
    notice_days: Notice = None,
    grace_days: Grace = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Create a project: users and buckets that belong together, for a limited time."""
    given = _given(owner, start, end, notice_days, grace_days)

    async def work(tenants: Tenants) -> ProjectRecord:
        return await tenants.projects.create(name, **given)

    _show(work, config, directory, as_json=as_json)


@projects.command("list")
def list_projects(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """List all projects."""

    async def work(tenants: Tenants) -> list[dict[str, Any]]:
        return [_row(tenants, project) for project in await tenants.projects.list_projects()]

    rows = run(work, config, directory)
    emit(rows, as_json=as_json, text=table(rows, COLUMNS))


@projects.command("show")
def show(
    name: Name, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show a project."""

    async def work(tenants: Tenants) -> ProjectRecord:
        return await tenants.projects.get(name)

    _show(work, config, directory, as_json=as_json)


@projects.command("renew")
def renew(
    name: Name,
    *,
    owner: Owner = None,
    start: Start = None,
    end: End = None,
    no_end: Annotated[bool, typer.Option("--no-end", help="It does not end.")] = False,
    notice_days: Notice = None,
    grace_days: Grace = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Change a project; with a new end it also works again. Holds from the next request on."""
    if no_end and end is not None:
        raise typer.BadParameter("give either --end or --no-end")
    given = _given(owner, start, end, notice_days, grace_days)
    if no_end or end is not None:
        given = {"end_ms": 0, "is_disabled": False, "is_deleting": False, **given}
    if not given:
        raise typer.BadParameter("give --end or --no-end, or what else is to change")
    _change(name, given, config, directory, as_json=as_json)


@projects.command("disable")
def disable(
    name: Name, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Let nothing of a project work from the next request on, until it is renewed."""
    _change(name, {"is_disabled": True}, config, directory, as_json=as_json)


@projects.command("limit")
def limit(
    name: Name,
    *,
    requests: Annotated[
        float | None, typer.Option("--requests-per-second", min=0, help="0: any number.")
    ] = None,
    bytes_: Annotated[
        int | None,
        typer.Option("--bytes-per-second", parser=size, help="In and out: 100MB; 0: any number."),
    ] = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Limit the rate of a project's requests and bytes, over all workers of a machine."""
    named = {"requests_per_s": requests, "bytes_per_s": bytes_}
    given = {field: rate for field, rate in named.items() if rate is not None}
    if not given:
        raise typer.BadParameter("give --requests-per-second or --bytes-per-second")
    _change(name, given, config, directory, as_json=as_json)


@projects.command("delete")
def delete(
    name: Name,
    *,
    confirmed: Annotated[
        str, typer.Option("--yes-delete-everything", metavar="NAME", help="The name once more.")
    ],
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Delete a project that has ended: its buckets with all objects, its users and their keys.

    The server does it by and by, and keeps what is locked; until then `renew` stops it.
    """
    if confirmed != name:
        raise typer.BadParameter(f"--yes-delete-everything {confirmed} is not {name}")

    async def work(tenants: Tenants) -> ProjectRecord:
        return await tenants.projects.begin_delete(name)

    _show(work, config, directory, as_json=as_json)


@projects.command("usage")
def usage(
    name: Name,
    *,
    by: By = "bucket",
    year: Year = None,
    as_csv: Csv = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Tell what a project used in a year, and what it holds now."""
    show_usage(
        name, by=by, year=year, as_csv=as_csv, config=config, directory=directory, as_json=as_json
    )


def _change(
    name: str,
    given: dict[str, Any],
    config: ConfigFile,
    directory: Directory,
    *,
    as_json: bool,
) -> None:
    async def work(tenants: Tenants) -> ProjectRecord:
        return await tenants.projects.update(name, lambda now: replace(now, **given))

    _show(work, config, directory, as_json=as_json)


def _show(
    work: Callable[[Tenants], Awaitable[ProjectRecord]],
    config: ConfigFile,
    directory: Directory,
    *,
    as_json: bool,
) -> None:
    """Do `work`, and print the project that it returns."""

    async def shown(tenants: Tenants) -> dict[str, Any]:
        return _row(tenants, await work(tenants))

    row = run(shown, config, directory)
    emit(row, as_json=as_json, text=table([row], COLUMNS))


def _given(
    owner: str | None,
    start: datetime | None,
    end: datetime | None,
    notice_days: int | None,
    grace_days: int | None,
) -> dict[str, Any]:
    """Return the fields that options name. The last day belongs to the project.

    Raises BadParameter for a last day that is past: whoever names it has mistyped, as `disable` is
    what ends a project.
    """
    if end is not None and utc_ms(end) + DAY_MS <= utc_ms(datetime.now(UTC)):
        raise typer.BadParameter(f"--end: {end:%Y-%m-%d} is past; `project disable` ends one now")
    fields = {
        "owner": owner,
        "start_ms": None if start is None else utc_ms(start),
        "end_ms": None if end is None else utc_ms(end) + DAY_MS,
        "notice_ms": None if notice_days is None else notice_days * DAY_MS,
        "grace_ms": None if grace_days is None else grace_days * DAY_MS,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _day(moment_ms: int) -> str:
    """Return a day as options name it; "" for 0, which is none."""
    return show_time(moment_ms)[:10]


def _row(tenants: Tenants, project: ProjectRecord) -> dict[str, Any]:
    return {
        "name": project.name,
        "id": project.id,
        "state": tenants.projects.state(project),
        "owner": project.owner,
        "created": show_time(project.created_ms),
        "start": _day(project.start_ms),
        "end": _day(project.end_ms and project.end_ms - 1),
        "disabled_at": show_time(project.end_ms and project.end_ms + project.grace_ms),
        "notice_days": project.notice_ms / DAY_MS,
        "grace_days": project.grace_ms / DAY_MS,
        "requests_per_second": project.requests_per_s,
        "bytes_per_second": project.bytes_per_s,
    }
