"""Commands for the metadata as a whole: snapshots, and what to do once the metadata are lost."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file

meta = typer.Typer(no_args_is_help=True)


@meta.command()
def snapshot(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Take a snapshot now, whether the server runs or not; journals it covers are removed."""
    from s3server import app, logs  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    taken = asyncio.run(app.take_snapshot(load(settings_file(config, directory))))
    emit(
        {"sequence": taken.sequence, "file": taken.name},
        as_json=as_json,
        text=f"snapshot of commit {taken.sequence} taken",
    )


@meta.command()
def restore(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Move metadata aside that are there.")
    ] = False,
    accept_missing: Annotated[
        bool, typer.Option("--accept-missing", help="Do with what the OSDs have that are here.")
    ] = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Rebuild lost metadata from the snapshots and journals on the OSDs. The server is stopped."""
    from s3server import app, logs  # noqa: PLC0415
    from s3server.process import state  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    loaded = load(settings_file(config, directory))
    state.lock(loaded.storage.meta_dir)  # until this process ends
    done = asyncio.run(app.restore(loaded, force=force, accept_missing=accept_missing))
    lines = [f"{done.rows} rows as of commit {done.sequence} restored"]
    if done.aside:
        lines.append(f"what was there before is {done.aside}")
    emit(
        {name: getattr(done, name) for name in done.__dataclass_fields__},
        as_json=as_json,
        text="\n".join(lines),
    )
