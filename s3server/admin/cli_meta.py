"""Commands for the metadata as a whole: snapshots, and what to do once the metadata are lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3server.admin.on_map import on_store
from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file, table

if TYPE_CHECKING:
    from s3server.maintenance import Operated
    from s3server.verify import Findings

meta = typer.Typer(no_args_is_help=True)


@meta.command()
def snapshot(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Take a snapshot now, whether the server runs or not; journals it covers are removed."""
    from s3server import logs, maintenance  # noqa: PLC0415 (slow to load)
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    taken = asyncio.run(maintenance.take_snapshot(load(settings_file(config, directory))))
    emit(
        {"sequence": taken.sequence, "file": taken.name},
        as_json=as_json,
        text=f"snapshot of commit {taken.sequence} taken",
    )


@meta.command("verify")
def verify_metadata(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Check every record, the journal and the snapshots; exit status 1 where something is wrong."""
    from s3server import logs, maintenance  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    _report(
        asyncio.run(maintenance.verify_metadata(load(settings_file(config, directory)))),
        as_json=as_json,
    )


@meta.command("set-aside")
def set_aside(
    *,
    drop: Annotated[
        bool, typer.Option("--drop", help="Forget them; what they gave up takes space for good.")
    ] = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show what cannot be worked off, as rows are damaged; garbage is tried again every hour."""
    from s3server.jobs import set_aside as aside  # noqa: PLC0415

    async def work(store: Operated) -> list[dict[str, Any]]:
        await aside.take_back(store.meta)
        found = await aside.set_aside(store.meta)
        if drop:
            await aside.forget(store.meta, found)
        return [aside.described(each) for each in found]

    rows = on_store(work, config, directory)
    text = table(rows, ("row", "blobs", "reason")) if rows else "nothing is set aside"
    emit({"set_aside": rows, "dropped": drop}, as_json=as_json, text=text)


def verify(
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Read and verify all bytes.")] = False,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Hold metadata and bytes against each other; exit status 1 where something is wrong."""
    from s3server import logs, maintenance  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    _report(
        asyncio.run(maintenance.verify(load(settings_file(config, directory)), deep=deep)),
        as_json=as_json,
    )


def _report(findings: Findings, *, as_json: bool) -> None:
    counts = dict(sorted(findings.counts.items()))
    emit(
        {"counts": counts, "problem_count": findings.problem_count, "problems": findings.problems},
        as_json=as_json,
        text="\n".join(
            [
                *findings.problems,
                *(f"{count} {name}" for name, count in counts.items()),
                f"{findings.problem_count} problems",
            ]
        ),
    )
    if findings.problem_count:
        raise typer.Exit(1)


@meta.command()
def restore(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Move metadata aside that are there.")
    ] = False,
    accept_missing: Annotated[
        bool, typer.Option("--accept-missing", help="Do with what the OSDs have that are here.")
    ] = False,
    osd: Annotated[
        list[Path], typer.Option(metavar="DIR", help="Where an OSD is that has moved.")
    ] = [],  # noqa: B006
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Rebuild lost metadata from the snapshots and journals on the OSDs. The server is stopped."""
    from s3server import logs, maintenance  # noqa: PLC0415
    from s3server.process import state  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    loaded = load(settings_file(config, directory))
    with state.locked(loaded.storage.meta_dir):
        done = asyncio.run(
            maintenance.restore(loaded, force=force, accept_missing=accept_missing, paths=osd)
        )
    lines = [f"{done.rows} rows as of commit {done.sequence} restored"]
    if done.aside:
        lines.append(f"what was there before is {done.aside}")
    emit(
        {name: getattr(done, name) for name in done.__dataclass_fields__},
        as_json=as_json,
        text="\n".join(lines),
    )
