"""Commands for the metadata as a whole: snapshots, and what to do once the metadata are lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit, settings_file

if TYPE_CHECKING:
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
    state.lock(loaded.storage.meta_dir)  # until this process ends
    done = asyncio.run(maintenance.restore(loaded, force=force, accept_missing=accept_missing))
    lines = [f"{done.rows} rows as of commit {done.sequence} restored"]
    if done.aside:
        lines.append(f"what was there before is {done.aside}")
    emit(
        {name: getattr(done, name) for name in done.__dataclass_fields__},
        as_json=as_json,
        text="\n".join(lines),
    )
