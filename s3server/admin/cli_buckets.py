"""Commands for buckets: all of them, whoever's they are; and settings that S3 does not know."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from s3server.admin.output import (
    ConfigFile,
    Directory,
    Json,
    emit,
    settings_file,
    show_time,
    table,
)
from s3server.admin.tenants import OnlyProject, run

if TYPE_CHECKING:
    from s3server.maintenance import Tenants

buckets = typer.Typer(no_args_is_help=True)


COLUMNS = ("name", "project", "owner", "created", "pool")


@buckets.command("list")
def list_buckets(
    *,
    project: OnlyProject = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this user of the project only.")
    ] = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List all buckets, whoever owns them."""

    async def work(tenants: Tenants) -> list[dict[str, Any]]:
        projects = {each.id: each.name for each in await tenants.projects.list_projects()}
        users = {each.id: each.name for each in await tenants.users.list_users()}
        users[tenants.root] = "root"
        account = None if project is None and user is None else await tenants.account(project)
        owner = None
        if user is not None:
            owner = (await tenants.users.get_user(user, account=account or "")).id
        return [
            {
                "name": bucket.name,
                "project": projects.get(bucket.account, bucket.account),
                "owner": users.get(bucket.owner),  # None: a user who was deleted
                "owner_id": bucket.owner,
                "created": show_time(bucket.created_ms),
                "pool": bucket.pool,
            }
            for bucket in await tenants.buckets.list_all()
            if account in (None, bucket.account) and owner in (None, bucket.owner)
        ]

    rows = run(work, config, directory)
    emit(rows, as_json=as_json, text=table(rows, COLUMNS))


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
