"""What the commands about OSDs and placement share: a store to work on, and changes to stage."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from s3server.admin.output import emit, settings_file

if TYPE_CHECKING:
    from s3server.cluster.changes import Change
    from s3server.maintenance import Operated

T = TypeVar("T")

Now = Annotated[bool, typer.Option("--now", help="Apply it at once, with all that is staged.")]
OsdName = Annotated[str, typer.Argument(metavar="OSD", help="Its number, as 3 or osd.3.")]


def on_store(
    work: Callable[[Operated], Awaitable[T]], config: Path | None, directory: Path | None
) -> T:
    """Do `work` on the store that the options name."""
    from s3server.maintenance import open_operated  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    loaded = load(settings_file(config, directory))

    async def open_and_work() -> T:
        async with open_operated(loaded) as store:
            return await work(store)

    return asyncio.run(open_and_work())


def osd_number(text: str) -> int:
    """Return the number of "3" or "osd.3"."""
    found = re.fullmatch(r"(?:osd\.)?(\d{1,5})", text)
    if found is None:
        raise typer.BadParameter(f"{text}: expected an OSD as 3 or osd.3")
    return int(found[1])


async def staged_row(store: Operated) -> dict[str, Any]:
    """Return what is staged, and what it would make of the map in force."""
    from s3server.cluster.changes import shortages  # noqa: PLC0415
    from s3server.cluster.what_if import what_if  # noqa: PLC0415

    before, waiting = await store.maps.current(), await store.maps.staged()
    row: dict[str, Any] = {"epoch": before.epoch, "staged": [str(each) for each in waiting]}
    if waiting:
        after = await store.maps.preview()
        effect = await what_if(store.meta, after)
        row |= {
            "next_epoch": after.epoch,
            "warnings": shortages(after),
            "move_shards": effect.move_shards,
            "move_bytes": effect.move_bytes,
        }
    return row


def staged_text(row: dict[str, Any]) -> str:
    """Return the same for people."""
    if not row["staged"]:
        return f"epoch {row['epoch']} is in force; nothing is staged"
    return "\n".join(
        (
            f"staged for epoch {row['next_epoch']}:",
            *(f"  {each}" for each in row["staged"]),
            *(f"warning: {each}" for each in row["warnings"]),
            f"{row['move_shards']} shards of {row['move_bytes']} bytes are to be moved then",
            f"apply it with: s3server placement apply --epoch {row['next_epoch']}",
        )
    )


def stage(
    changes: Sequence[Change],
    *,
    now: bool,
    config: Path | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Stage changes and print the difference, or apply them."""

    async def work(store: Operated) -> dict[str, Any]:
        await store.maps.stage(*changes)
        return await applied_row(store) if now else await staged_row(store)

    print_map(on_store(work, config, directory), as_json=as_json)


async def applied_row(store: Operated, epoch: int | None = None) -> dict[str, Any]:
    """Apply what is staged, as the next epoch unless one is named."""
    wanted = (await store.maps.current()).epoch + 1 if epoch is None else epoch
    record = await store.keeper.apply(wanted)
    return {"epoch": record.epoch, "staged": [], "applied": list(record.changes)}


def print_map(row: dict[str, Any], *, as_json: bool) -> None:
    """Print what staged_row() or applied_row() returned."""
    if "applied" in row:
        done = "\n".join(f"  {each}" for each in row["applied"])
        text = f"epoch {row['epoch']} is in force:\n{done}"
    else:
        text = staged_text(row)
    emit(row, as_json=as_json, text=text)
