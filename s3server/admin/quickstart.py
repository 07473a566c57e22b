"""A store in one directory, made by one command and found again by the next.

DIR/s3server.toml     settings of the first start, with the root key; mode 0600
DIR/credentials.env   root key and endpoint for clients, written at every start; mode 0600
DIR/master.key        seals the secrets of users
DIR/meta, DIR/osd.N   metadata and devices
DIR/meta.cluster      which cluster was made: without metadata and devices none is made anew
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3server.admin.client_config import Access, render
from s3server.auth.secrets import new_access_key_id, new_secret
from s3server.config import Config, ConfigError, shard_count
from s3server.meta.durable import replace_durably
from s3server.settings import (
    Layer,
    load,
    quickstart_config,
    quickstart_tables,
    root_from_environment,
)

SETTINGS, CREDENTIALS = "s3server.toml", "credentials.env"
SHOWN = ("aws", "boto3", "rclone", "s3cmd", "duckdb")


def prepare(
    directory: Path, *, osds: int | None, codec: str | None, server: Layer
) -> Callable[[], Config]:
    """Make the settings file at the first start; return what loads the settings.

    `server` holds the options of the [server] table that were given; they are kept at the first
    start and hold for one run later. Raises ConfigError where a later start asks for another
    number of devices or another codec.
    """
    file = directory / SETTINGS
    if not file.exists():
        _create(directory, file, osds=osds, codec=codec or "replica:3", server=server)
    _check_layout(load(file), file, osds=osds, codec=codec)
    return lambda: load(file, command_line={"server": server} if server else {})


def _check_layout(config: Config, file: Path, *, osds: int | None, codec: str | None) -> None:
    found = config.pools[0].codec
    if codec is not None and codec != found:
        raise ConfigError(
            f"{file}: this store was made with --pool {found}; quickstart does not change it to "
            f"{codec}. Choose another directory."
        )
    if osds is not None and osds != len(config.osds):
        raise ConfigError(
            f"{file}: this store was made with --osds {len(config.osds)}; quickstart does not "
            f"change it to {osds}. Choose another directory."
        )


def _create(directory: Path, file: Path, *, osds: int | None, codec: str, server: Layer) -> None:
    root = {"access_key": new_access_key_id(), "secret_key": new_secret()}
    root |= root_from_environment()
    count = osds or shard_count(codec)
    config = quickstart_config(directory, codec=codec, osds=count, server=server, **root)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    tables = quickstart_tables(osds=count, codec=codec)
    if config.server.is_loopback:  # whoever reaches the server reaches these as well
        tables["events"] = {"endpoints": ["localhost:*", "127.0.0.1:*"]}
    tables |= {"root": root, "server": server}
    with _locked(directory):
        if file.exists():  # another first start was faster: its keys are the keys
            return
        if (directory / "meta").exists() or list(directory.glob("osd.*/osd.json")):
            raise ConfigError(f"{directory} holds a store, but its {SETTINGS} is missing")
        replace_durably(file, to_toml(tables))


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time make what a first start makes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def to_toml(tables: Layer) -> str:
    """Return tables, and arrays of tables, of plain values as TOML 1.0."""
    lines = []
    for name, content in tables.items():
        is_array = isinstance(content, list)
        for table in content if is_array else [content]:
            lines.append(f"[[{name}]]" if is_array else f"[{name}]")
            lines += [f"{key} = {_toml_value(value)}" for key, value in table.items()]
            lines.append("")
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    # A JSON string is a TOML string but for DEL (TOML) and surrogate pairs (JSON's ASCII form).
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_credentials(directory: Path, access: Access) -> None:
    """Write DIR/credentials.env, in a form that shells, systemd and `docker --env-file` read."""
    replace_durably(
        directory / CREDENTIALS,
        f"AWS_ACCESS_KEY_ID={access.access_key}\n"
        f"AWS_SECRET_ACCESS_KEY={access.secret_key}\n"
        f"AWS_ENDPOINT_URL={access.endpoint}\n"
        f"AWS_REGION={access.region}\n"
        f"AWS_DEFAULT_REGION={access.region}\n",  # which boto3 reads
    )


def access_of(config: Config, endpoint: str) -> Access:
    """Return how root reaches the server."""
    root = config.root
    return Access(
        endpoint, root.access_key, root.secret_key.get_secret_value(), config.server.region
    )


def banner(directory: Path, access: Access) -> str:
    """Return what a person needs who has just started a store."""
    blocks = [f"# {tool}\n{render(tool, access)}" for tool in SHOWN]
    return "\n".join(
        (
            "READY",
            f"  endpoint     {access.endpoint}",
            f"  access key   {access.access_key}",
            f"  secret key   {access.secret_key}",
            f"  region       {access.region}",
            f"  kept in      {directory / CREDENTIALS}",
            "",
            *blocks,
        )
    )
