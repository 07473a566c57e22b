"""Commands for what S3 has no operation for: settings of buckets that are ours alone."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from msgspec.structs import replace

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file

buckets = typer.Typer(no_args_is_help=True)


@buckets.callback()
def group() -> None:
    """Keep `set` a command of its own while it is the only one."""


@buckets.command("set")
def set_bucket(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the bucket.")],
    *,
    head_on_get_url: Annotated[
        bool, typer.Option(help="Whether a URL that is signed for GET is good for HEAD too.")
    ],
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Change settings of a bucket; they hold from the next request on."""
    from s3server import logs  # noqa: PLC0415 (slow to load)
    from s3server.maintenance import initialise, open_buckets  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    loaded = load(settings_file(config, directory))

    async def work() -> None:
        await initialise(loaded)
        async with open_buckets(loaded) as store:
            bucket = await store.get(name)
            await store.update(bucket, lambda now: replace(now, head_on_get_url=head_on_get_url))

    asyncio.run(work())
    row = {"bucket": name, "head_on_get_url": head_on_get_url}
    emit(row, as_json=as_json, text=f"{name}: head-on-get-url {'on' if head_on_get_url else 'off'}")
