"""The settings: one frozen typed tree, and where each of its values came from.

Layers, each above the one before: defaults, the TOML file, `conf.d/*.toml` beside it (in the order
of their names), systemd credentials, environment (`S3SERVER_SECTION__KEY`), command line. Tables
are merged key by key; the arrays `[[osds]]` and `[[pools]]` of several files add up. Relative
paths are relative to the file that names them. This is the only module that reads the environment.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "S3SERVER_"
KNOWN_SECRETS = frozenset({"minioadmin", "rustfsadmin", "password", "changeme", "secret", "admin"})
PATHS = ("meta_dir", "master_key_file", "access_key_file", "secret_key_file", "path")
CODEC = re.compile(r"replica:([1-9]\d?)|ec:([1-9]\d?)\+([1-9]\d?)")

Layer = dict[str, Any]


class ConfigError(Exception):
    """The settings cannot be used; the text says which value of which file, and why."""


class Section(BaseModel):
    """What every table of the settings shares: no change after start, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerConfig(Section):
    """How clients reach the server."""

    listen: str = Field("127.0.0.1:9000", description="address to listen on, HOST:PORT")
    workers: int = Field(0, ge=0, le=256, description="worker processes; 0: one per core")
    region: str = Field("us-east-1", min_length=1, description="name of the region")
    region_aliases: tuple[str, ...] = Field(("*",), description="other regions accepted; * for any")
    base_domains: tuple[str, ...] = Field((), description="domains of bucket.DOMAIN addresses")
    external_urls: tuple[str, ...] = Field((), description="URLs that clients use through a proxy")
    trusted_proxies: tuple[str, ...] = Field((), description="addresses or networks of proxies")
    drain_s: float = Field(30, ge=0, description="seconds that requests may take to end at a stop")
    server_header: str = Field("s3server", description="value of the Server header; empty for none")

    @field_validator("listen")
    @classmethod
    def _has_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError("expected HOST:PORT")
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host (IPv6 without brackets) and port to bind."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        host = self.address[0]
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return self.workers or len(os.sched_getaffinity(0))


class StorageConfig(Section):
    """Where the metadata lie, and how bytes are stored."""

    meta_dir: Path = Field(description="directory of the metadata")
    master_key_file: Path = Field(description="file of the key that seals secrets; 32 bytes")
    map_size_gib: int = Field(64, ge=1, description="largest size of the metadata, GiB")
    small_limit_kib: int = Field(64, ge=0, le=1024, description="blobs up to here: volumes, KiB")
    gc_grace_s: float = Field(60, ge=0, description="seconds from giving up bytes to freeing them")


class RootConfig(Section):
    """The first user: may do everything."""

    access_key: str = Field(min_length=3, max_length=128, description="access key id")
    secret_key: SecretStr = Field(description="secret access key")
    access_key_file: Path | None = Field(None, description="file that holds access_key")
    secret_key_file: Path | None = Field(None, description="file that holds secret_key")

    @field_validator("secret_key")
    @classmethod
    def _is_long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 8:
            raise ValueError("expected at least 8 characters")
        return value

    @field_serializer("secret_key", when_used="json")
    def _reveal(self, value: SecretStr, info: Any) -> str:
        return value.get_secret_value() if (info.context or {}).get("reveal") else "********"


class OsdConfig(Section):
    """One object store device: a directory, on a disk of its own where it is serious."""

    id: int = Field(ge=0, le=65535, description="number of the device; never given to another")
    path: Path = Field(description="directory")
    host: str = Field("localhost", description="machine that it is in")
    rack: str = Field("rack1", description="rack that the machine is in")
    datacenter: str = Field("dc1", description="site of the rack")
    weight: float = Field(1.0, ge=0, description="share of the data; by custom the size in TiB")
    device_class: str = Field("hdd", description="kind of device, which pools can ask for")


class PoolConfig(Section):
    """How blobs are spread over devices."""

    name: str = Field("default", min_length=1, description="name of the pool")
    codec: str = Field("replica:3", description="replica:N, or ec:K+M for Reed-Solomon")
    across: Literal["osd", "host", "rack"] = Field("osd", description="what each shard has alone")
    device_class: str = Field("", description="kind of device to use; empty for any")
    pg_count: int = Field(256, ge=1, le=65536, description="placement groups")

    @field_validator("codec")
    @classmethod
    def _is_codec(cls, value: str) -> str:
        if not CODEC.fullmatch(value):
            raise ValueError("expected replica:N or ec:K+M")
        return value

    @property
    def shards(self) -> int:
        """Count of shards (copies) that the codec makes of a blob."""
        return shard_count(self.codec)


class Config(BaseSettings):
    """All settings of a server."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    server: ServerConfig = Field(default_factory=lambda: ServerConfig.model_validate({}))
    storage: StorageConfig
    root: RootConfig
    osds: Annotated[tuple[OsdConfig, ...], Field(min_length=1)]
    pools: Annotated[tuple[PoolConfig, ...], Field(min_length=1)] = Field(
        default_factory=lambda: (PoolConfig.model_validate({}),)
    )
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` merged and nothing else."""
        return (init_settings,)

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        for what, names in (
            ("osds", [str(osd.id) for osd in self.osds]),
            ("osds", [str(osd.path) for osd in self.osds]),
            ("pools", [pool.name for pool in self.pools]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{what}: {min(twice)} is named twice")
        for pool in self.pools:
            _check_pool(pool, self.osds)
        secret = self.root.secret_key.get_secret_value()
        is_weak = len(secret) < 16 or secret.lower() in KNOWN_SECRETS
        if is_weak and not self.server.is_loopback:
            raise ValueError(
                f"server.listen is {self.server.listen}: an address that others can reach needs a "
                "root.secret_key of 16 characters or more that is no known default"
            )
        return self


def _check_pool(pool: PoolConfig, osds: tuple[OsdConfig, ...]) -> None:
    usable = [osd for osd in osds if pool.device_class in ("", osd.device_class) and osd.weight]
    levels: tuple[str, ...] = ("datacenter", "rack", "host", "id")
    levels = levels[: {"rack": 2, "host": 3, "osd": 4}[pool.across]]
    found = len({tuple(getattr(osd, level) for level in levels) for osd in usable})
    if found < pool.shards:
        raise ValueError(
            f"pool {pool.name}: {pool.codec} needs {pool.shards} of {pool.across}, found {found}"
        )


def shard_count(codec: str) -> int:
    """Return how many shards a codec makes: 3 for "replica:3", 6 for "ec:4+2"."""
    found = CODEC.fullmatch(codec)
    if found is None:
        raise ConfigError(f"{codec}: expected replica:N or ec:K+M")
    return sum(int(number) for number in found.groups() if number)


# --- layers ------------------------------------------------------------------------------------


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
    if path is not None:
        for file in (path, *sorted((path.parent / "conf.d").glob("*.toml"))):
            yield str(file), _read_secrets(_anchored(_read_toml(file), file.parent), str(file))
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        yield "systemd credentials", _credentials(Path(directory))
    yield "environment", _read_secrets(_from_environment(environ), "environment")
    yield "command line", command_line


def _read_toml(file: Path) -> Layer:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}") from None


def _anchored(layer: Layer, base: Path) -> Layer:
    """Make the paths of a layer absolute, in place."""
    osds = layer.get("osds")
    tables: list[Any] = [layer.get("storage"), layer.get("root")]
    tables += osds if isinstance(osds, list) else []
    for table in tables:
        for key in PATHS if isinstance(table, dict) else ():
            if isinstance(table.get(key), str):
                table[key] = str((base / table[key]).absolute())
    return layer


def _read_secrets(layer: Layer, origin: str) -> Layer:
    """Replace `root.*_file` of a layer by what the file holds."""
    root = layer.get("root")
    if isinstance(root, dict):
        for key in ("access_key", "secret_key"):
            if file := root.get(f"{key}_file"):
                if key in root:
                    raise ConfigError(f"{origin}: root.{key} and root.{key}_file are both set")
                root[key] = _read_private(Path(file))
    return layer


def _read_private(file: Path) -> str:
    try:
        if file.stat().st_mode & stat.S_IRWXO:
            raise ConfigError(f"{file}: holds a secret, but other users can reach it: chmod o= it")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None


def _credentials(directory: Path) -> Layer:
    """What systemd's LoadCredential= provides (systemd.exec(5)): files of these names."""
    root = {
        key: (directory / name).read_text(encoding="utf-8").strip()
        for key, name in (("access_key", "root_access_key"), ("secret_key", "root_secret_key"))
        if (directory / name).is_file()
    }
    layer: Layer = {"root": root} if root else {}
    if (directory / "master.key").is_file():
        layer["storage"] = {"master_key_file": str(directory / "master.key")}
    return layer


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


# --- what people read --------------------------------------------------------------------------


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


def _model_at(section: str) -> type[BaseModel]:
    first = section.partition(".")[0]
    sections: dict[str, type[BaseModel]] = {
        "server": ServerConfig,
        "storage": StorageConfig,
        "root": RootConfig,
        "osds": OsdConfig,
        "pools": PoolConfig,
    }
    return sections.get(first, Config)


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


# --- between processes ---------------------------------------------------------------------------


def to_json(config: Config) -> str:
    """Return all settings, secrets in the clear: for a pipe to a child, never for a log."""
    return config.model_dump_json(context={"reveal": True})


def from_json(text: str) -> Config:
    """Return the settings that `to_json` wrote."""
    return Config(**json.loads(text))


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


def systemd_sockets() -> int:
    """Return how many listening sockets systemd passed, from descriptor 3 on (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 0
    return int(os.environ.get("LISTEN_FDS", "0"))


def systemd_notify_socket() -> str:
    """Return the address for state messages to systemd (sd_notify(3)); "" without systemd."""
    return os.environ.get("NOTIFY_SOCKET", "")
