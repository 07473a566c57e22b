"""Commands for the keys of server-side encryption."""

from __future__ import annotations

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file

encryption = typer.Typer(no_args_is_help=True)


@encryption.callback()
def group() -> None:
    """Keep `rotate` a command of its own while it is the only one."""


@encryption.command("rotate")
def rotate(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Add a key that wraps the keys of new objects, at once; older ones still open theirs."""
    from s3server.app import key_ring  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    key_id = key_ring(load(settings_file(config, directory))).rotate()
    emit({"key": key_id}, as_json=as_json, text=f"new objects are wrapped by key {key_id}")
