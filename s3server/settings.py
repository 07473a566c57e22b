"""From files, credentials, environment and command line to one Config, with their origins.

Layers, each above the one before: defaults, the TOML file, `conf.d/*.toml` beside it (in the order
of their names), systemd credentials, environment (`S3SERVER_SECTION__KEY`), command line. Tables
are merged key by key; the arrays `[[osds]]` and `[[pools]]` of several files add up. Relative
paths are relative to the file that names them. This is the only module that reads the environment.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from s3server.config import (
    CertificateRoleConfig,
    CertificatesConfig,
    Config,
    ConfigError,
    EventsConfig,
    JobsConfig,
    LogConfig,
    OidcConfig,
    OsdConfig,
    PoolConfig,
    RootConfig,
    ServerConfig,
    StorageConfig,
    TelemetryConfig,
    TlsConfig,
    shard_count,
)

PREFIX = "S3SERVER_"
PATHS = (
    "meta_dir",
    "master_key_file",
    "encryption_keys_file",
    "access_key_file",
    "secret_key_file",
    "path",
    "certificate",
    "key",
    "ca_file",
    "authorities",
)

Layer = dict[str, Any]


def load(
    path: Path | None,
    *,
    command_line: Layer | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings of all layers, `path` being the TOML file.

    Raises ConfigError where a file cannot be read, a key is unknown or a value does not fit.
    """
    environ = os.environ if environ is None else environ
    merged: Layer = {}
    origins: dict[str, str] = {}
    for origin, layer in _layers(path, command_line or {}, environ):
        _merge(merged, layer, origins, origin, add_up=origin.endswith(".toml"))
    try:
        config = Config(**merged)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, origins))) from None
    config._origins.update(origins)
    return config


def _layers(
    path: Path | None, command_line: Layer, environ: Mapping[str, str]
) -> Iterator[tuple[str, Layer]]:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    passed = _credentials(Path(directory)) if directory else {}
    if path is not None:
        for file in (path, *sorted((path.parent / "conf.d").glob("*.toml"))):
            layer = _anchored(_read_toml(file), file.parent)
            yield str(file), _read_secrets(layer, str(file), passed.get("root", {}))
    yield "systemd credentials", passed
    yield "environment", _read_secrets(_from_environment(environ), "environment", {})
    yield "command line", command_line


def _read_toml(file: Path) -> Layer:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {_reason(error)}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}") from None


def _anchored(layer: Layer, base: Path) -> Layer:
    """Make the paths of a layer absolute, in place."""
    tables: list[Any] = [
        layer.get("storage"),
        layer.get("root"),
        layer.get("tls"),
        layer.get("certificates"),
    ]
    for several in (layer.get("osds"), layer.get("oidc")):
        tables += several if isinstance(several, list) else []
    for table in tables:
        for key in PATHS if isinstance(table, dict) else ():
            if isinstance(table.get(key), str):
                table[key] = str((base / table[key]).absolute())
    return layer


def _read_secrets(layer: Layer, origin: str, passed: Layer) -> Layer:
    """Replace `root.*_file` of a layer by what the file holds.

    What systemd passed is not read: such a file may be one that root alone can read.
    """
    root = layer.get("root")
    if isinstance(root, dict):
        for key in ("access_key", "secret_key"):
            if file := root.get(f"{key}_file"):
                if key in root:
                    raise ConfigError(f"{origin}: root.{key} and root.{key}_file are both set")
                if key not in passed:
                    root[key] = _read_private(Path(file))
    return layer


def _read_private(file: Path) -> str:
    try:
        if file.stat().st_mode & stat.S_IRWXO:
            raise ConfigError(f"{file}: holds a secret, but other users can reach it: chmod o= it")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {_reason(error)}") from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read, without its name once more."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _credentials(directory: Path) -> Layer:
    """What systemd's LoadCredential= provides (systemd.exec(5)): files of these names."""
    root = {
        key: (directory / name).read_text(encoding="utf-8").strip()
        for key, name in (("access_key", "root_access_key"), ("secret_key", "root_secret_key"))
        if (directory / name).is_file()
    }
    files = (("master_key_file", "master.key"), ("encryption_keys_file", "encryption.keys"))
    storage = {key: str(directory / name) for key, name in files if (directory / name).is_file()}
    return {name: table for name, table in (("root", root), ("storage", storage)) if table}


class _Environment(EnvSettingsSource):
    """The environment as given, so that tests and callers can bring their own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name.lower(): value for name, value in environ.items()}
        super().__init__(Config, env_prefix=PREFIX, env_nested_delimiter="__")

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._environ


def _from_environment(environ: Mapping[str, str]) -> Layer:
    for name in environ:
        section, nested, _ = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and nested and section not in Config.model_fields:
            raise ConfigError(f"environment: {name}: no such section{_hint(section, Config)}")
    try:
        layer: Layer = _Environment(environ)()
    except ValueError as error:
        raise ConfigError(f"environment: {error}") from None
    if root := root_from_environment(environ):
        layer["root"] = root | layer.get("root", {})
    return layer


def root_from_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what S3SERVER_ROOT_ACCESS_KEY and S3SERVER_ROOT_SECRET_KEY say of the root key."""
    environ = os.environ if environ is None else environ
    found = {
        key: environ.get(f"{PREFIX}ROOT_{key.upper()}") for key in ("access_key", "secret_key")
    }
    return {key: value for key, value in found.items() if value}


def _merge(
    into: Layer, layer: Layer, origins: dict[str, str], origin: str, *, add_up: bool, at: str = ""
) -> None:
    for key, value in layer.items():
        name = at + key
        if isinstance(value, dict) and isinstance(into.setdefault(key, {}), dict):
            _merge(into[key], value, origins, origin, add_up=add_up, at=name + ".")
            continue
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            kept = into.get(key, []) if add_up else []
            into[key] = [*kept, *value]
            for index, item in enumerate(value, start=len(kept)):
                origins.update({f"{name}.{index}.{inner}": origin for inner in item})
            continue
        into[key] = value
        origins[name] = origin


def _explain(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        origin = origins.get(name) or next(
            (found for known, found in origins.items() if known.startswith(name + ".")), ""
        )
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            section, _, key = name.rpartition(".")
            text = "no such setting" + _hint(key, _model_at(section))
        elif problem["type"] == "missing":
            text = "has to be set"
        yield ": ".join(part for part in (origin, name, text) if part)


def section_models() -> dict[str, type[BaseModel]]:
    """Return the model of each table of the settings."""
    return {
        "server": ServerConfig,
        "tls": TlsConfig,
        "jobs": JobsConfig,
        "log": LogConfig,
        "telemetry": TelemetryConfig,
        "storage": StorageConfig,
        "root": RootConfig,
        "events": EventsConfig,
        "osds": OsdConfig,
        "pools": PoolConfig,
        "oidc": OidcConfig,
        "certificates": CertificatesConfig,
        "certificate_roles": CertificateRoleConfig,
    }


def _model_at(section: str) -> type[BaseModel]:
    return section_models().get(section.partition(".")[0], Config)


def _hint(key: str, model: type[BaseModel]) -> str:
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def origins(config: Config) -> list[tuple[str, Any, str]]:
    """Return (dotted name, value, layer that set it) of every setting; secrets are masked."""
    return [
        (name, value, config._origins.get(name, "default"))
        for name, value in _flat(json.loads(config.model_dump_json()))
    ]


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{at}.{index}")
    else:
        yield at, value


def quickstart_tables(*, osds: int, codec: str) -> Layer:
    """Return the tables of a store that lies in one directory; paths relative to it."""
    return {
        "storage": {"meta_dir": "meta", "master_key_file": "master.key"},
        "osds": [{"id": number, "path": f"osd.{number}"} for number in range(osds)],
        "pools": [{"name": "default", "codec": codec}],
    }


def quickstart_config(
    directory: Path,
    *,
    access_key: str,
    secret_key: str,
    codec: str = "replica:3",
    osds: int | None = None,
    server: Layer | None = None,
) -> Config:
    """Return the settings of a store in `directory`, without reading or writing any file."""
    tables = quickstart_tables(osds=osds or shard_count(codec), codec=codec)
    tables["root"] = {"access_key": access_key, "secret_key": secret_key}
    tables["server"] = server or {}
    return load(None, command_line=_anchored(tables, directory), environ={})


def systemd_sockets() -> list[str]:
    """Return the names of the listening sockets that systemd passed, from descriptor 3 on.

    A name is empty where systemd gave none; see sd_listen_fds_with_names(3).
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return (names + [""] * count)[:count]


def systemd_notify_socket() -> str:
    """Return the address for state messages to systemd (sd_notify(3)); "" without systemd."""
    return os.environ.get("NOTIFY_SOCKET", "")
