"""The state of a store that nobody else has open in this process, and which server serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s3server.config import Config, StorageConfig
from s3server.metadata import open_to_read
from s3server.process import state
from s3server.standing import standing_of


async def status_of(config: Config) -> dict[str, Any]:
    """Return the state of a store, whether its server runs or not.

    Raises UnavailableError where there are no metadata.
    """
    meta = open_to_read(config)
    try:
        found = {"server": server_of(config.storage.meta_dir), **await standing_of(meta)}
    finally:
        await meta.close()
    _tell_of_space(found, config.storage)
    return found


def _tell_of_space(found: dict[str, Any], storage: StorageConfig) -> None:
    """Say which OSDs are full, or nearly: also in the health, if all else is well.

    Nothing new is stored on a full one.
    """
    limits = tuple(zip(("full", "nearly full"), fill_limits(storage), strict=True))
    filled: dict[str, list[str]] = {what: [] for what, _ in limits}
    for osd in found["osds"]:
        used = (osd["used_percent"] or 0) / 100
        what = next((what for what, ratio in limits if used >= ratio), None)
        if what is not None:
            filled[what].append(str(osd["osd"]))
            osd["reason"] = osd["reason"] or what
    worst = next((f"{what}: {', '.join(osds)}" for what, osds in filled.items() if osds), None)
    if found["health"] == "OK" and worst is not None:
        found["health"] = f"WARNING: OSDs are {worst}"


def fill_limits(storage: StorageConfig) -> tuple[float, float]:
    """Return from which ratio an OSD is full, and nearly full, to the server that runs.

    It may have other settings than we.
    """
    told = state.read(storage.meta_dir) if state.is_served(storage.meta_dir) else {}
    full, nearfull = storage.full_ratio, storage.nearfull_ratio
    return told.get("full_ratio", full), told.get("nearfull_ratio", nearfull)


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
