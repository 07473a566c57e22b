"""What commands about projects, users and keys share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from s3server.admin.output import settings_file

if TYPE_CHECKING:
    from s3server.maintenance import Tenants

T = TypeVar("T")

ProjectName = Annotated[
    str | None, typer.Option("--project", metavar="NAME", help="Name of the project; default.")
]
OnlyProject = Annotated[  # of commands that list what all projects have
    str | None, typer.Option("--project", metavar="NAME", help="Of this project only; of all.")
]


def run(work: Callable[[Tenants], Awaitable[T]], config: Path | None, directory: Path | None) -> T:
    """Do `work` on the projects and users of the store that the options name."""
    from s3server import logs  # noqa: PLC0415 (slow to load)
    from s3server.maintenance import initialise, open_tenants  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    loaded = load(settings_file(config, directory))

    async def open_and_work() -> T:
        await initialise(loaded)
        async with open_tenants(loaded) as tenants:
            return await work(tenants)

    return asyncio.run(open_and_work())
