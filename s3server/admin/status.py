"""The state of a store that nobody else has open in this process, and which server serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s3server.config import Config
from s3server.metadata import open_to_read
from s3server.process import state
from s3server.standing import standing_of


async def status_of(config: Config) -> dict[str, Any]:
    """Return the state of a store, whether its server runs or not.

    Raises UnavailableError where there are no metadata.
    """
    meta = open_to_read(config)
    try:
        return {"server": server_of(config.storage.meta_dir), **await standing_of(meta)}
    finally:
        await meta.close()


def server_of(meta_dir: Path) -> dict[str, Any] | None:
    """Return {"url", "pid"} of the server that runs, "" and 0 until it says so; None: none does."""
    if not state.is_served(meta_dir):
        return None
    told = state.read(meta_dir)
    return {"url": told.get("url", ""), "pid": told.get("pid", 0)}


def server_text(server: dict[str, Any] | None) -> str:
    """Return what server_of() returned in words."""
    return (
        "no server runs" if server is None else f"server {server['url']}, process {server['pid']}"
    )
