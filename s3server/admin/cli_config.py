"""Commands that show settings: ours, and those that clients need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s3server.admin.client_config import TOOLS, Access, render
from s3server.admin.output import (
    ConfigFile,
    Directory,
    Json,
    SecretFile,
    emit,
    read_secret,
    settings_file,
    table,
)

config = typer.Typer(no_args_is_help=True)


@config.command()
def show(
    *,
    file: ConfigFile = None,
    directory: Directory = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say what set each value.")] = False,
    as_json: Json = False,
) -> None:
    """Print the settings in force; secrets are masked."""
    from s3server import settings  # noqa: PLC0415 (slow to load)

    found = settings.origins(settings.load(settings_file(file, directory)))
    rows = [{"name": name, "value": value, "origin": layer} for name, value, layer in found]
    columns = ("name", "value", "origin")[: 3 if origin else 2]
    rows = [{column: row[column] for column in columns} for row in rows]
    emit(rows, as_json=as_json, text=table(rows, columns))


@config.command()
def check(*, file: ConfigFile = None, directory: Directory = None, as_json: Json = False) -> None:
    """Check the settings; nothing is started or changed."""
    from s3server import settings  # noqa: PLC0415

    found = settings_file(file, directory)
    settings.load(found)
    emit({"file": str(found), "valid": True}, as_json=as_json, text=f"{found}: valid")


def client_config(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help=", ".join(TOOLS))],
    *,
    file: ConfigFile = None,
    directory: Directory = None,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="Where it is.")] = None,
    access_key: Annotated[str | None, typer.Option(help="Whose access key; root's.")] = None,
    secret_key_file: SecretFile = None,
    region: Annotated[str | None, typer.Option(help="Name of the region.")] = None,
    as_json: Json = False,
) -> None:
    """Print what to paste so that a client TOOL works with this server.

    It has root's keys, unless the options say whose: give those to nobody else.
    """
    if tool not in TOOLS:
        raise typer.BadParameter(f"no such tool: {tool}. There are {', '.join(TOOLS)}.")
    secret_key = read_secret(secret_key_file) if secret_key_file is not None else None
    if endpoint and access_key and secret_key:
        access = Access(endpoint.rstrip("/"), access_key, secret_key, region or "us-east-1")
    else:
        found = _root_access(settings_file(file, directory))
        if bool(access_key) != bool(secret_key):
            raise typer.BadParameter("--access-key and --secret-key-file belong together")
        access = Access(
            (endpoint or found.endpoint).rstrip("/"),
            access_key or found.access_key,
            secret_key or found.secret_key,
            region or found.region,
        )
    text = render(tool, access)
    emit({"tool": tool, "text": text}, as_json=as_json, text=text)


def _root_access(file: Path) -> Access:
    """Return how root reaches the store: by its public URL, as it runs, or as it would listen."""
    from s3server.admin.quickstart import access_of  # noqa: PLC0415
    from s3server.process import state  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    loaded = load(file)
    running = state.read(loaded.storage.meta_dir).get("url")
    external = loaded.server.external_urls[0] if loaded.server.external_urls else None
    return access_of(loaded, external or running or f"{loaded.scheme}://{loaded.server.listen}")
