"""Commands for inventories; they work whether the server runs or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file, show_time, table

if TYPE_CHECKING:
    from s3server.core.inventory import InventoryRecord

inventories = typer.Typer(no_args_is_help=True)

_COLUMNS = ("bucket", "id", "rows", "last", "next", "manifest", "error")


@inventories.command("run")
def run(
    bucket: Annotated[str, typer.Argument(metavar="s3://BUCKET", help="The bucket to list.")],
    *,
    identity: Annotated[
        str, typer.Option("--id", help="Of one configuration; else all that are enabled.")
    ] = "",
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make a bucket's inventories now, and tell where their manifests are."""
    from s3server.reports import open_inventories  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    async def main() -> list[InventoryRecord]:
        async with open_inventories(load(settings_file(config, directory))) as access:
            found = await access.buckets.get(bucket.removeprefix("s3://").rstrip("/"))
            return await access.job.run(found, identity)

    _show(asyncio.run(main()), as_json=as_json)


@inventories.command("list")
def list_inventories(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """List the inventories of all buckets: the last one, the next one, what went wrong."""
    from s3server.reports import open_inventories  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    async def main() -> list[InventoryRecord]:
        async with open_inventories(load(settings_file(config, directory))) as access:
            return [record for _, record in await access.job.states()]

    _show(asyncio.run(main()), as_json=as_json)


def _show(records: list[InventoryRecord], *, as_json: bool) -> None:
    rows = [_row(record) for record in records]
    emit(rows, as_json=as_json, text=table(rows, _COLUMNS))


def _row(record: InventoryRecord) -> dict[str, Any]:
    return {
        "bucket": record.bucket,
        "id": record.config,
        "rows": record.last_rows,
        "last": show_time(record.last_ms),
        "next": show_time(record.next_ms),
        "manifest": record.manifest,
        "error": record.error,
    }
