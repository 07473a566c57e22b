"""Commands for the keys of server-side encryption."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file

encryption = typer.Typer(no_args_is_help=True)


@encryption.command("rotate")
def rotate(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Add a key that wraps the keys of new objects, at once; older ones still open theirs."""
    from s3server.parts import key_ring  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    key_id = key_ring(load(settings_file(config, directory))).rotate()
    emit({"key": key_id}, as_json=as_json, text=f"new objects are wrapped by key {key_id}")


@encryption.command("rewrap")
def rewrap(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Wrap the keys of all objects by the newest key; a run can be interrupted and begun again.

    Once a run finds nothing to do, and uploads have ended that began before the rotation, all but
    the last line of the key ring can go. Snapshots of the metadata still need the older keys.
    """
    from s3server import logs  # noqa: PLC0415 (slow to load)

    logs.configure()
    keys, lost = asyncio.run(_rewrap(settings_file(config, directory)))
    text = f"{keys} keys of objects are wrapped anew"
    emit({"rewrapped": keys, "lost": lost}, as_json=as_json, text=text)
    if lost:
        from s3server.core.keys import LostKeyError  # noqa: PLC0415

        raise LostKeyError(f"the ring lacks the keys of {lost} objects")


async def _rewrap(settings: Path) -> tuple[int, int]:
    from s3server.core.rewrap import Rewrap  # noqa: PLC0415
    from s3server.maintenance import open_operated  # noqa: PLC0415
    from s3server.parts import key_ring  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    loaded, keys, lost = load(settings), 0, 0
    async with open_operated(loaded) as store:
        run, has_more = Rewrap(store.meta, key_ring(loaded)), True
        while has_more:
            step = await run.step()
            keys, lost, has_more = keys + step.keys, lost + step.lost, step.has_more
    return keys, lost
