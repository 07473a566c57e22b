"""Where OSDs are whose store was moved, or copied: the rows of them have whole paths.

The settings say where theirs are. Those that were added at run time lay beside these, or below the
same directory, and are looked for there: what is in the old place may be the original's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from s3server.cluster.map_record import OsdRecord
from s3server.data.base import DataError
from s3server.data.osd_directory import identity_of


def moved(
    known: Mapping[int, OsdRecord], found: Mapping[int, str], cluster: str
) -> dict[int, OsdRecord]:
    """Return the rows of the OSDs that are not where they were, with their new paths.

    `found` are paths that are certain, by number.
    """
    before = {osd: row for osd, row in known.items() if not row.is_removed}
    steps = {_step(before[osd].path, path) for osd, path in found.items() if osd in before}
    places = {osd: found.get(osd) or _place(row, steps, cluster) for osd, row in before.items()}
    return {
        osd: replace(row, path=places[osd])
        for osd, row in before.items()
        if row.path != places[osd]
    }


def _step(old: str, new: str) -> tuple[str, str]:
    """Return the two directories that differ, without what both paths end in."""
    before, after = Path(old), Path(new)
    while before.name == after.name and before.name:
        before, after = before.parent, after.parent
    return str(before), str(after)


def _place(row: OsdRecord, steps: Iterable[tuple[str, str]], cluster: str) -> str:
    """Return where an OSD is that went the way of others, else where it was."""
    for old, new in steps:
        if old != new and Path(row.path).is_relative_to(old):
            path = str(new / Path(row.path).relative_to(old))
            if _is_here(path, cluster, row.id):
                return path
    return row.path


def _is_here(path: str, cluster: str, osd: int) -> bool:
    try:
        identity = identity_of(path)
    except (DataError, OSError):
        return False
    return (identity.cluster, identity.osd) == (cluster, osd)
