"""What commands share: options that name a store or a secret, and how results are printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import typer

SYSTEM_FILE = Path("/etc/s3server/s3server.toml")
QUICKSTART_DIRECTORY = Path("s3data")
_BINARY = 1024

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help=f"Settings file of the store; {SYSTEM_FILE}."),
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Directory of a quickstart; ./s3data, if there."),
]
SecretFile = Annotated[  # never the secret itself: everybody on the machine sees command lines
    Path | None,
    typer.Option("--secret-key-file", metavar="FILE", help="File with its secret; - for stdin."),
]


def read_secret(file: Path) -> str:
    """Return the secret in a file, "-" being the standard input."""
    return sys.stdin.read().strip() if str(file) == "-" else file.read_text("utf-8").strip()


def settings_file(config: Path | None, directory: Path | None) -> Path:
    """Return the settings file that the options mean, or the first of the usual places.

    Raises ConfigError where there is none.
    """
    from s3server.config import ConfigError  # noqa: PLC0415 (slow to load: 0.2 s)

    if config is not None and directory is not None:
        raise typer.BadParameter("--config and --dir name two stores; give one of them")
    if config is not None:
        return config
    if directory is not None:
        return directory / "s3server.toml"
    for file in (QUICKSTART_DIRECTORY / "s3server.toml", SYSTEM_FILE):
        if file.exists():
            return file
    raise ConfigError(
        f"which store? There is neither ./{QUICKSTART_DIRECTORY} here nor {SYSTEM_FILE}: "
        "give --config FILE or --dir DIR"
    )


def reason_of(error: Exception) -> str:
    """Return what went wrong, as a person is to read it: for files, which one and why."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    names = (error.filename, error.filename2, error.strerror)
    text = ": ".join(str(name) for name in names if name is not None)
    if isinstance(error, PermissionError):
        text += f"{_owner(error.filename)}; commands for a store are for root, and for the user "
        text += "whom it belongs to"
    return text


def _owner(path: object) -> str:
    """Return whose the first is, from the root on, of what leads to a path that cannot be used."""
    if isinstance(path, str | PathLike):
        at = Path(path).absolute()
        for each in (*reversed(at.parents), at):
            needed = os.R_OK | os.W_OK if each == at else os.X_OK
            if each.exists() and not os.access(each, needed):
                owner, me = each.stat().st_uid, os.geteuid()
                return (
                    "" if owner == me else f", as {each} is user {owner}'s, and this is user {me}"
                )
    return ""


def emit(value: Any, *, as_json: bool, text: str) -> None:
    """Print a result, for programs or for people."""
    print(json.dumps(value) if as_json else text, flush=True)


def show_time(milliseconds: int) -> str:
    """Return a time in UTC as people and programs read it; "" for 0, which is none."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def utc_ms(moment: datetime) -> int:
    """Return a time that was given to a command, in milliseconds; in UTC if it names no zone."""
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def show_bytes(count: float) -> str:
    """Return a size in units of 1024, as people read it: "1.4 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < _BINARY:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _BINARY
    return f"{count:.1f} PiB"


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as aligned columns under their names."""
    lines = [
        tuple(columns),
        *(tuple("-" if row[name] is None else str(row[name]) for name in columns) for row in rows),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
