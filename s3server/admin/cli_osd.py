"""Commands for OSDs; they work whether the server runs or not.

What changes the map is staged, so that its effect can be looked at before; `--now` applies it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3server.admin.on_map import (
    Now,
    OsdName,
    applied_row,
    on_store,
    osd_number,
    print_map,
    stage,
    staged_row,
)
from s3server.admin.output import ConfigFile, Directory, Json, emit, show_bytes, table

if TYPE_CHECKING:
    from s3server.cluster.changes import Change
    from s3server.cluster.map_record import State
    from s3server.cluster.osds import OsdStatus
    from s3server.maintenance import Operated

osds = typer.Typer(no_args_is_help=True)

COLUMNS = ("osd", "state", "weight", "reweight", "class", "datacenter", "rack", "host", "path")
STATUS_COLUMNS = ("osd", "state", "health", "used", "free", "shards", "data", "reason")


@osds.command()
def add(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Empty directory, or a new one.")],
    *,
    weight: Annotated[float, typer.Option(help="Share; by custom the size in TiB.")] = 1.0,
    host: Annotated[str, typer.Option(help="Machine.")] = "localhost",
    rack: Annotated[str, typer.Option(help="Rack of the machine.")] = "rack1",
    datacenter: Annotated[str, typer.Option(help="Site of the rack.")] = "dc1",
    device_class: Annotated[str, typer.Option("--class", help="Kind of device.")] = "hdd",
    now: Now = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make an OSD of a directory, and stage that it is used."""
    from s3server.cluster.changes import parse_weight  # noqa: PLC0415

    location = (("datacenter", datacenter), ("rack", rack), ("host", host))
    shares = parse_weight(str(weight))

    async def work(store: Operated) -> dict[str, Any]:
        added = await store.keeper.add(str(path.absolute()), shares, device_class, location)
        row = await (applied_row(store) if now else staged_row(store))
        return {"osd": added.osd, **row}

    print_map(on_store(work, config, directory), as_json=as_json)


@osds.command("list")
def list_osds(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """List the OSDs of the map."""

    async def work(store: Operated) -> list[OsdStatus]:
        return await store.keeper.status(store.cluster, count_data=False)

    rows = [_row(osd) for osd in on_store(work, config, directory)]
    emit(
        [{name: row[name] for name in COLUMNS} for row in rows],
        as_json=as_json,
        text=table(rows, COLUMNS),
    )


@osds.command()
def status(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show how full the OSDs are, what they hold, and which are not here or nearly full."""
    from s3server.admin.output import settings_file  # noqa: PLC0415
    from s3server.admin.status import fill_limits  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    full, nearfull = fill_limits(load(settings_file(config, directory)).storage)

    async def work(store: Operated) -> list[OsdStatus]:
        return await store.keeper.status(store.cluster, count_data=True)

    rows = []
    for osd in on_store(work, config, directory):
        health = "up" if osd.is_here else "down"
        if osd.is_here and osd.used_ratio >= nearfull:
            health = "full" if osd.used_ratio >= full else "nearfull"
        rows.append({**_row(osd), "health": health, "used": f"{osd.used_ratio:.1%}"})
    sizes = ({name: show_bytes(row[name]) for name in ("free", "data")} for row in rows)
    text = table([{**row, **shown} for row, shown in zip(rows, sizes, strict=True)], STATUS_COLUMNS)
    text += f"\nnearly full from {nearfull:.0%}, full from {full:.0%}"
    emit(rows, as_json=as_json, text=text)


@osds.command()
def out(
    osd: OsdName,
    *,
    now: Now = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Give an OSD nothing, until it is in again: others get its share."""
    change = _state(osd, "out")
    stage([change], now=now, config=config, directory=directory, as_json=as_json)


@osds.command("in")
def in_(
    osd: OsdName,
    *,
    now: Now = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let an OSD that is out or drained have its share again."""
    change = _state(osd, "in")
    stage([change], now=now, config=config, directory=directory, as_json=as_json)


@osds.command()
def drain(
    osd: OsdName,
    *,
    now: Now = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Empty an OSD for good: it is placed as if it were removed already."""
    change = _state(osd, "drain")
    stage([change], now=now, config=config, directory=directory, as_json=as_json)


@osds.command()
def reweight(
    osd: OsdName,
    ratio: Annotated[
        str | None, typer.Argument(metavar="[RATIO]", help="Part of its share that it gets, 0..1.")
    ] = None,
    *,
    weight: Annotated[str | None, typer.Option(help="Its share itself, instead.")] = None,
    now: Now = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Give an OSD another part of its share, or another share."""
    from s3server.cluster.changes import Change, parse_weight  # noqa: PLC0415

    if (ratio is None) == (weight is None):
        raise typer.BadParameter("give RATIO or --weight")
    value = parse_weight(ratio if ratio is not None else str(weight))
    change = Change("weight" if ratio is None else "reweight", osd_number(osd), value)
    stage([change], now=now, config=config, directory=directory, as_json=as_json)


@osds.command()
def remove(
    osd: OsdName,
    *,
    now: Now = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Take an OSD that was drained out of the map; refused while any blob is on it."""
    from s3server.cluster.changes import Change  # noqa: PLC0415

    change = Change("remove", osd_number(osd))

    async def work(store: Operated) -> dict[str, Any]:
        await store.keeper.check_removable(change.osd)
        await store.maps.stage(change)
        return await (applied_row(store) if now else staged_row(store))

    print_map(on_store(work, config, directory), as_json=as_json)


def _state(osd: str, state: State) -> Change:
    from s3server.cluster.changes import Change  # noqa: PLC0415

    return Change(state, osd_number(osd))


def _row(osd: OsdStatus) -> dict[str, Any]:
    row = asdict(osd)
    return {"osd": row.pop("id"), "class": row.pop("device_class"), **row}
