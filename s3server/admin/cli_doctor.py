"""The `doctor` command."""

from __future__ import annotations

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file, table


def doctor(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Look at the machine and the store; exit status 1 where something is bad."""
    from s3server.admin.doctor import examine  # noqa: PLC0415 (slow to load)
    from s3server.admin.finding import Level  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    found = examine(load(settings_file(config, directory)))
    rows = [
        {"what": each.what, "level": each.level.name.lower(), "finding": each.text}
        for each in found
    ]
    emit(rows, as_json=as_json, text=table(rows, ("level", "what", "finding")))
    if any(each.level is Level.BAD for each in found):
        raise typer.Exit(1)
