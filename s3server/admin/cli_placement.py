"""Commands that explain placement, try out changes of the map, and apply those that are staged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3server.admin.on_map import (
    applied_row,
    on_store,
    osd_number,
    print_map,
    staged_row,
)
from s3server.admin.output import ConfigFile, Directory, Json, emit, table

if TYPE_CHECKING:
    from s3server.cluster.changes import Change
    from s3server.maintenance import Operated

placement = typer.Typer(no_args_is_help=True)

SHARD_COLUMNS = ("shard", "osd", "host", "rack", "size", "state", "today", "why")
PLACES = ("datacenter", "rack", "host")


@placement.command()
def explain(
    url: Annotated[str, typer.Argument(metavar="s3://BUCKET/KEY", help="Object.")],
    *,
    version_id: Annotated[str | None, typer.Option(help="Version; the current one.")] = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show where the bytes of an object are and why; every shard is read and verified."""
    from s3server.cluster.explain import explain as walk  # noqa: PLC0415

    bucket, slash, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not slash or not key:
        raise typer.BadParameter(f"{url}: expected s3://BUCKET/KEY")

    async def work(store: Operated) -> list[dict[str, Any]]:
        record = await store.objects.get(await store.buckets.get(bucket), key, version_id)
        if not record.blob:
            return []
        blob = await store.objects.blob_of(record)
        paths = {osd.id: osd.path for osd in (await store.maps.osds()).values()}
        return [asdict(each) async for each in walk(blob, store.blobs, store.cluster, paths)]

    blobs = on_store(work, config, directory)
    text = "\n\n".join(map(_blob_text, blobs)) or f"{url} is empty: it has no bytes to place"
    emit({"object": url, "blobs": blobs}, as_json=as_json, text=text)


def _blob_text(blob: dict[str, Any]) -> str:
    part = f"part {blob['part']}, " if blob["part"] else ""
    return (
        f"{part}blob {blob['blob']}, {blob['size']} bytes, {blob['codec']}\n"
        f"pool {blob['pool']}: {blob['rule']}; placement group {blob['group']}, "
        f"map of epoch {blob['epoch']}\n" + table(blob["shards"], SHARD_COLUMNS)
    )


@placement.command("what-if")
def what_if(
    *,
    fail: Annotated[list[str], typer.Option(metavar="NAME", help="OSD, host, rack, site.")] = [],  # noqa: B006
    add: Annotated[
        list[str], typer.Option(metavar="osd.9:weight=4[,host=n2]", help="One more OSD.")
    ] = [],  # noqa: B006
    reweight: Annotated[
        list[str], typer.Option(metavar="osd.3=0.5", help="Another part of its share.")
    ] = [],  # noqa: B006
    remove: Annotated[list[str], typer.Option(metavar="osd.3", help="One OSD less.")] = [],  # noqa: B006
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Say what failures and changes would do to all objects; nothing is changed.

    They come on top of the map in force; what is staged is left aside.
    """
    from s3server.cluster import what_if as trial  # noqa: PLC0415
    from s3server.cluster.changes import Change, change, shortages  # noqa: PLC0415

    changes = [_addition(each) for each in add]
    changes += [_reweight(each) for each in reweight]
    changes += [Change("remove", osd_number(each)) for each in remove]

    async def work(store: Operated) -> dict[str, Any]:
        record = await store.maps.current()
        failed = {osd for name in fail for osd in trial.devices_named(record, name)}
        after = change(record, changes, now_ms=0) if changes else record
        effect = await trial.what_if(store.meta, after, failed)
        return {**asdict(effect), "failed": sorted(failed), "warnings": shortages(after, failed)}

    row = on_store(work, config, directory)
    emit(row, as_json=as_json, text=_effect_text(row))


def _effect_text(row: dict[str, Any]) -> str:
    lines = [
        f"objects safe        {row['safe']}",
        f"objects degraded    {row['degraded']}",
        f"objects unreadable  {row['unreadable']}",
        f"to be written       {row['move_shards']} shards of {row['move_bytes']} bytes",
    ]
    if row["homeless_shards"]:
        lines.append(f"without a place     {row['homeless_shards']} shards")
    if row["damaged"]:
        lines.append(f"cannot be told of   {row['damaged']} rows that are damaged")
    return "\n".join([*lines, *(f"warning: {each}" for each in row["warnings"])])


def _addition(text: str) -> Change:
    """Return the change that "osd.9:weight=4,host=n2" means."""
    from s3server.cluster.changes import Change, parse_weight  # noqa: PLC0415

    name, _, options = text.partition(":")
    given = {"weight": "1", "class": "hdd", "datacenter": "dc1", "rack": "rack1"}
    given["host"] = "localhost"
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key not in given:
            raise typer.BadParameter(f"{text}: there are {', '.join(given)}")
        given[key] = value
    location = tuple((place, given[place]) for place in PLACES)
    weight = parse_weight(given["weight"])
    return Change("add", osd_number(name), weight, given["class"], location)


def _reweight(text: str) -> Change:
    from s3server.cluster.changes import Change, parse_weight  # noqa: PLC0415

    name, _, value = text.partition("=")
    return Change("reweight", osd_number(name), parse_weight(value))


@placement.command()
def diff(*, config: ConfigFile = None, directory: Directory = None, as_json: Json = False) -> None:
    """Show what is staged, and what it would move."""
    print_map(on_store(staged_row, config, directory), as_json=as_json)


@placement.command()
def apply(
    *,
    epoch: Annotated[int, typer.Option(help="The next epoch, as `diff` names it.")],
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Put what is staged into force; running servers follow within a second."""

    async def work(store: Operated) -> dict[str, Any]:
        return await applied_row(store, epoch)

    print_map(on_store(work, config, directory), as_json=as_json)


@placement.command()
def revert(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Forget what is staged."""

    async def work(store: Operated) -> Sequence[Change]:
        return await store.maps.revert()

    gone = [str(each) for each in on_store(work, config, directory)]
    text = "\n".join(["forgotten:", *gone]) if gone else "nothing was staged"
    emit({"reverted": gone}, as_json=as_json, text=text)
