"""The command line: what exists, how errors become exit statuses. Commands load what they need."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from s3server import __version__
from s3server.admin import (
    cli_buckets,
    cli_config,
    cli_encryption,
    cli_events,
    cli_inventory,
    cli_lifecycle,
    cli_meta,
    cli_osd,
    cli_placement,
    cli_projects,
    cli_sessions,
    cli_usage,
    cli_users,
)
from s3server.admin.cli_doctor import doctor
from s3server.admin.cli_status import status
from s3server.admin.cli_support import support_bundle
from s3server.admin.cli_top import top
from s3server.admin.cli_trace import trace
from s3server.admin.output import ConfigFile, Directory, Json, emit, reason_of, settings_file


class Sorted(TyperGroup):
    """Commands by name: there are too many of them to be looked through."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, in the order in which help tells them."""
        return sorted(super().list_commands(ctx))


cli = typer.Typer(
    cls=Sorted,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="An S3-compatible object store.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 wrong settings, 4 not found, "
    "6 exists already, 7 not available now.",
)
cli.add_typer(cli_config.config, name="config", help="Look at the settings.")
cli.add_typer(cli_projects.projects, name="project", help="Manage projects.")
cli.add_typer(cli_usage.quotas, name="quota", help="Limit what projects, users, buckets hold.")
cli.command("usage")(cli_usage.usage)
cli.add_typer(cli_users.users, name="user", help="Manage users.")
cli.add_typer(cli_buckets.buckets, name="bucket", help="Change settings of buckets.")
cli.add_typer(cli_encryption.encryption, name="encryption", help="Manage the keys of encryption.")
cli.add_typer(cli_users.keys, name="key", help="Manage the access keys of users.")
cli.add_typer(cli_meta.meta, name="meta", help="Snapshots of the metadata, and what they are for.")
cli.add_typer(cli_events.topics, name="topic", help="Look at topics and test them.")
cli.add_typer(cli_events.events, name="events", help="Look at the events that wait; replay.")
cli.add_typer(cli_osd.osds, name="osd", help="Add, remove and look at OSDs.")
cli.add_typer(cli_placement.placement, name="placement", help="Explain, try and change the map.")
cli.add_typer(cli_sessions.sessions, name="sessions", help="Take temporary credentials back.")
cli.add_typer(cli_lifecycle.lifecycle, name="lifecycle", help="Look at lifecycle rules.")
cli.add_typer(cli_inventory.inventories, name="inventory", help="Make inventories, look at them.")
cli.command("verify")(cli_meta.verify)
cli.command("client-config")(cli_config.client_config)
cli.command("status")(status)
cli.command("top")(top)
cli.command("trace")(trace)
cli.command("doctor")(doctor)
cli.command("support-bundle")(support_bundle)


def run(arguments: list[str]) -> int:
    """Run a command; return its exit status. Errors that can be expected are one line of text."""
    try:
        cli(arguments, prog_name="s3server", standalone_mode=True)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # not expected: raised again
        status = _status(error)
        if status is None:
            raise
        print(f"s3server: {reason_of(error)}", file=sys.stderr)
        return status
    return 0


def _status(error: Exception) -> int | None:
    """Return the exit status of an expected error, None for others."""
    from placement.cluster_map import MapError  # noqa: PLC0415
    from s3server import errors  # noqa: PLC0415 (only where something went wrong)
    from s3server.auth.secrets import SecretError  # noqa: PLC0415
    from s3server.config import ConfigError  # noqa: PLC0415
    from s3server.configuration_errors import NoSuchConfiguration  # noqa: PLC0415
    from s3server.core.keys import KeyRingError  # noqa: PLC0415
    from s3server.data.base import DataError  # noqa: PLC0415
    from s3server.events.base import PublishError  # noqa: PLC0415
    from s3server.meta.base import MetadataError, UnavailableError  # noqa: PLC0415
    from s3server.metadata import MetadataExistError  # noqa: PLC0415
    from s3server.process.listen import ListenError  # noqa: PLC0415
    from s3server.process.state import StoreBusyError  # noqa: PLC0415

    statuses: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int], ...] = (
        ((ConfigError, SecretError, KeyRingError), 3),
        ((errors.NoSuchEntity, errors.NotFound), 4),
        ((errors.NoSuchBucket, errors.NoSuchKey, errors.NoSuchVersion, NoSuchConfiguration), 4),
        ((errors.EntityAlreadyExists, MetadataExistError), 6),
        ((errors.InvalidArgument, errors.InvalidParameter), 2),
        ((StoreBusyError, UnavailableError, PublishError), 7),
        ((MapError, ListenError, MetadataError, DataError, errors.S3Error, OSError), 1),
    )
    return next((status for kinds, status in statuses if isinstance(error, kinds)), None)


@cli.command()
def version(*, as_json: Json = False) -> None:
    """Print the version."""
    emit({"version": __version__}, as_json=as_json, text=__version__)


@cli.command()
def serve(*, config: ConfigFile = None, directory: Directory = None, as_json: Json = False) -> None:
    """Serve a store that a settings file describes."""
    from s3server import logs  # noqa: PLC0415
    from s3server.process.serve import serve as run_server  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    file = settings_file(config, directory)
    logs.configure(form=load(file).log.format, process="supervisor")

    def on_ready(url: str) -> None:
        emit({"endpoint": url}, as_json=as_json, text=f"READY {url}")

    raise typer.Exit(run_server(lambda: load(file), on_ready=on_ready))


@cli.command()
def quickstart(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the store.")],
    *,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address.")] = None,
    osds: Annotated[int | None, typer.Option(min=1, help="Devices; the pool's need.")] = None,
    pool: Annotated[str | None, typer.Option(help="replica:N or ec:K+M; replica:3.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0: one per core.")] = None,
    region: Annotated[str | None, typer.Option(help="Name of the region; us-east-1.")] = None,
    as_json: Json = False,
) -> None:
    """Make a store in DIR, or find it there, and serve it."""
    from s3server import logs  # noqa: PLC0415
    from s3server.admin import quickstart as store  # noqa: PLC0415
    from s3server.process.serve import serve as run_server  # noqa: PLC0415

    given = {"listen": listen, "workers": workers, "region": region}
    server = {key: value for key, value in given.items() if value is not None}
    directory = directory.absolute()
    load = store.prepare(directory, osds=osds, codec=pool, server=server)
    config = load()
    logs.configure(form=config.log.format, process="supervisor")

    def on_ready(url: str) -> None:
        access = store.access_of(config, url)
        try:
            store.write_credentials(directory, access)
        except OSError as error:  # a full disk: the server is needed for the deletes
            print(f"s3server: {store.CREDENTIALS} is not written: {error}", file=sys.stderr)
        fields = {name: getattr(access, name) for name in access.__dataclass_fields__}
        emit(fields, as_json=as_json, text=store.banner(directory, access))

    raise typer.Exit(run_server(load, on_ready=on_ready))
