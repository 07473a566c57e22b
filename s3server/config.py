"""The settings: one frozen typed tree, a table of TOML each class; `settings.py` fills it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from s3server.auth.oidc_keys import is_fetchable

KNOWN_SECRETS = frozenset({"minioadmin", "rustfsadmin", "password", "changeme", "secret", "admin"})
CODEC = re.compile(r"replica:([1-9]\d?)|ec:([1-9]\d?)\+([1-9]\d?)")


class ConfigError(Exception):
    """The settings cannot be used; the text says which value of which file, and why."""


class Section(BaseModel):
    """What every table of the settings shares: no change after start, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("expected HOST:PORT")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class ServerConfig(Section):
    """How clients reach the server."""

    listen: str = Field("127.0.0.1:9000", description="address to listen on, HOST:PORT")
    workers: int = Field(0, ge=0, le=256, description="worker processes; 0: one per core")
    region: str = Field("us-east-1", min_length=1, description="name of the region")
    region_aliases: tuple[str, ...] = Field(("*",), description="other regions accepted; * for any")
    base_domains: tuple[str, ...] = Field((), description="domains of bucket.DOMAIN addresses")
    website_domains: tuple[str, ...] = Field((), description="domains of websites, bucket.DOMAIN")
    external_urls: tuple[str, ...] = Field((), description="URLs that clients use through a proxy")
    allow_sigv2: bool = Field(True, description="accept Signature Version 2 beside Version 4")
    trusted_proxies: tuple[str, ...] = Field((), description="addresses or networks of proxies")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="bearer token of /-/metrics; none: for this machine alone"
    )
    metrics_largest: int = Field(
        0, ge=0, le=1_000, description="buckets and users that /-/metrics tells of, the largest"
    )
    auth_failures_per_minute: int = Field(
        600, ge=0, description="failed authentications of an address before 503; 0: any number"
    )
    max_requests: int = Field(
        2_500, ge=1, description="requests in work, of all workers; 503 SlowDown beyond"
    )
    max_connections: int = Field(
        10_000, ge=1, description="open connections, of all workers; 503 SlowDown beyond"
    )
    drain_s: float = Field(30, ge=0, description="seconds that requests may take to end at a stop")
    server_header: str = Field("s3server", description="value of the Server header; empty for none")

    @field_serializer("metrics_token", when_used="json")
    def _reveal(self, value: SecretStr, info: Any) -> str:
        secret = value.get_secret_value()
        return secret if (info.context or {}).get("reveal") or not secret else "********"

    @field_validator("listen")
    @classmethod
    def _has_port(cls, value: str) -> str:
        return _checked_address(value)

    @model_validator(mode="after")
    def _websites_are_elsewhere(self) -> Self:
        """What a website shows must not have the origin that S3 is spoken to at."""
        for site in self.website_domains:
            for base in self.base_domains:
                if f".{site}".endswith(f".{base}") or f".{base}".endswith(f".{site}"):
                    raise ValueError(f"website domain {site} and base domain {base} overlap")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host (IPv6 without brackets) and port to bind."""
        return _address(self.listen)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return _is_loopback(self.address[0])

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return self.workers or len(os.sched_getaffinity(0))


class TlsConfig(Section):
    """The server's own TLS; plain HTTP without a certificate. SIGHUP reads the files anew."""

    certificate: Path | None = Field(None, description="file of the certificate and its chain, PEM")
    key: Path | None = Field(None, description="file of its private key, PEM without password")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class LogConfig(Section):
    """What is logged, on stderr."""

    requests: Literal["all", "errors", "failures"] = Field(
        "errors", description="requests with a line: all, those answered 4xx or 5xx, or 5xx alone"
    )
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="form of the lines; auto: text on a terminal, else JSON"
    )


class TelemetryConfig(Section):
    """Where requests are sent as spans of OpenTelemetry; needs the extra `s3server[otel]`."""

    otlp_endpoint: str = Field("", description="URL of a collector (OTLP/HTTP); none: no spans")
    sample_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of requests with a span, where their clients do not say",
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _can_be_used(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("expected http://HOST:PORT or https://...")
        if value and not _has_opentelemetry():
            raise ValueError("OpenTelemetry is not installed: pip install 's3server[otel]'")
        return value


def _has_opentelemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


class StorageConfig(Section):
    """Where the metadata lie, and how bytes are stored."""

    meta_dir: Path = Field(description="directory of the metadata")
    master_key_file: Path = Field(description="file of the key that seals secrets; 32 bytes")
    encryption_keys_file: Path | None = Field(None, description="keys of SSE-S3; beside the above")
    map_size_gib: int = Field(64, ge=1, description="largest size of the metadata, GiB")
    small_limit_kib: int = Field(64, ge=0, le=1024, description="blobs up to here: volumes, KiB")
    nearfull_ratio: float = Field(0.85, gt=0, le=1, description="used share of an OSD: a warning")
    full_ratio: float = Field(0.95, gt=0, le=1, description="used share: no new bytes go there")
    gc_grace_s: float = Field(60, ge=0, description="seconds from giving up bytes to freeing them")


class JobsConfig(Section):
    """How fast the background work goes. Rates are in MiB per second; 0: as fast as it can."""

    repair_mib_s: float = Field(100, ge=0, description="rate of repair, of objects' bytes")
    rebalance_mib_s: float = Field(50, ge=0, description="rate of moves after a map change")
    scrub_mib_s: float = Field(50, ge=0, description="rate of the deep scrub, of bytes read")
    light_scrub_h: float = Field(24, gt=0, description="hours from one light scrub to the next")
    deep_scrub_days: float = Field(7, gt=0, description="days from one deep scrub to the next")
    lifecycle_day_s: float = Field(
        86_400, gt=0, description="length of a day of lifecycle rules in seconds; less for tests"
    )
    stale_upload_days: float = Field(
        7, ge=0, description="days after which an upload that nobody goes on with ends; 0: never"
    )
    access_log_s: float = Field(
        300, ge=1, le=3_600, description="seconds of access logs in one object; divides a day"
    )
    down_out_s: float = Field(600, ge=1, description="seconds after which a down OSD is out")


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


class EventsConfig(Section):
    """Where events may be published, and how many may wait."""

    endpoints: tuple[str, ...] = Field(
        (), description="HOST:PORT that topics may name; * in both is a wildcard"
    )
    ca_directory: str = Field("/etc/ssl/certs", description="where topics' ca-location may be")
    backlog_limit: int = Field(1_000_000, ge=1, description="events that may wait, per topic")
    projects_topic: str = Field(
        "", description="ARN of the topic that is told what becomes of projects; none"
    )
    when_full: Literal["block", "drop-oldest"] = Field(
        "block", description="what a full backlog does to writes that cause events"
    )

    @field_validator("endpoints")
    @classmethod
    def _have_ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            host, _, port = pattern.rpartition(":")
            if not host or not (port == "*" or port.isdecimal()):
                raise ValueError(f"{pattern}: expected HOST:PORT")
        return value


LEVELS = ("datacenter", "rack", "host", "osd")  # of the tree, from its root on


class OsdConfig(Section):
    """One object store device: a directory, on a disk of its own where it is serious."""

    id: int = Field(ge=0, le=65535, description="number of the device; never given to another")
    path: Path = Field(description="directory")
    host: str = Field("localhost", description="machine that it is in")
    rack: str = Field("rack1", description="rack that the machine is in")
    datacenter: str = Field("dc1", description="site of the rack")
    weight: float = Field(1.0, ge=0, description="share of the data; by custom the size in TiB")
    device_class: str = Field("hdd", description="kind of device, which pools can ask for")

    def domain(self, level: str) -> tuple[str, ...]:
        """Return what fails together with this device at a level of the tree, from its root on."""
        path = self.datacenter, self.rack, self.host, str(self.id)
        return path[: LEVELS.index(level) + 1]


# Those of S3 whose objects are read like others; for archives a client asks to restore them first.
StorageClass = Literal[
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
]


class PoolConfig(Section):
    """How blobs are spread over devices."""

    name: str = Field("default", min_length=1, description="name of the pool")
    codec: str = Field("replica:3", description="replica:N, or ec:K+M for Reed-Solomon")
    across: Literal["osd", "host", "rack", "datacenter"] = Field(
        "osd", description="what each shard has alone"
    )
    device_class: str = Field("", description="kind of device to use; empty for any")
    pg_count: int = Field(256, ge=1, le=65536, description="placement groups")
    storage_class: StorageClass | None = Field(
        None, description="class of objects that go here, whatever the pool of their bucket"
    )

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


class OidcConfig(Section):
    """An issuer of tokens (OpenID Connect, WLCG) that may stand for roles."""

    issuer: str = Field(description="as in the iss of its tokens: https://...")
    audiences: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="values of aud that mean this server"
    )
    ca_file: Path | None = Field(None, description="what certifies its web server; the system's")
    roles: tuple[str, ...] = Field(("*",), description="ARNs of roles it may name; * is a wildcard")

    @field_validator("issuer")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not is_fetchable(value, may_be_plain=True) or "?" in value:
            raise ValueError("expected https://HOST/PATH, or http:// on a loopback address")
        return value


class CertificatesConfig(Section):
    """Whose certificates, and grid proxies of them, may stand for roles."""

    authorities: Path | None = Field(
        None, description="directory of authorities, as /etc/grid-security/certificates"
    )
    revocation: Literal["required", "if-present"] = Field(
        "required", description="whether each authority must have a current revocation list"
    )
    signing_policies: Literal["required", "if-present"] = Field(
        "required", description="whether a signing policy must say what each may vouch for"
    )
    allow_limited: bool = Field(False, description="accept limited proxies")
    listen: str = Field(
        "", description="address of TLS with client certificates, HOST:PORT; none: signatures alone"
    )

    @field_validator("listen")
    @classmethod
    def _has_port(cls, value: str) -> str:
        return _checked_address(value) if value else ""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host (IPv6 without brackets) and port to bind; None: not at all."""
        return _address(self.listen) if self.listen else None


class CertificateRoleConfig(Section):
    """Who may become a role; * is a wildcard."""

    dn: str = Field(min_length=2, description="subject, as OpenSSL writes it: /DC=org/CN=Alice")
    role: str = Field(min_length=20, description="ARN of the role")
    issuer: str = Field("*", description="subject of the authority, likewise")


class Config(BaseSettings):
    """All settings of a server."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    server: ServerConfig = Field(default_factory=lambda: ServerConfig.model_validate({}))
    tls: TlsConfig = Field(default_factory=lambda: TlsConfig.model_validate({}))
    log: LogConfig = Field(default_factory=lambda: LogConfig.model_validate({}))
    telemetry: TelemetryConfig = Field(default_factory=lambda: TelemetryConfig.model_validate({}))
    storage: StorageConfig
    jobs: JobsConfig = Field(default_factory=lambda: JobsConfig.model_validate({}))
    root: RootConfig
    events: EventsConfig = Field(default_factory=lambda: EventsConfig.model_validate({}))
    certificates: CertificatesConfig = Field(
        default_factory=lambda: CertificatesConfig.model_validate({})
    )
    certificate_roles: tuple[CertificateRoleConfig, ...] = ()
    oidc: tuple[OidcConfig, ...] = ()
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

    @property
    def scheme(self) -> str:
        """What the server itself speaks."""
        return "http" if self.tls.certificate is None else "https"

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        for what, names in (
            ("osds", [str(osd.id) for osd in self.osds]),
            ("osds", [str(osd.path) for osd in self.osds]),
            ("pools", [pool.name for pool in self.pools]),
            ("oidc", [one.issuer for one in self.oidc]),
            (
                "storage_class",
                [str(pool.storage_class) for pool in self.pools if pool.storage_class],
            ),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{what}: {min(twice)} is named twice")
        if self.certificates.listen and None in (
            self.tls.certificate,
            self.certificates.authorities,
        ):
            raise ValueError(
                "certificates.listen needs tls.certificate and certificates.authorities"
            )
        _check_tree(self.osds)
        for pool in self.pools:
            _check_pool(pool, self.osds)
        secret = self.root.secret_key.get_secret_value()
        is_weak = len(secret) < 16 or secret.lower() in KNOWN_SECRETS
        further = self.certificates.address
        if is_weak and not (self.server.is_loopback and (not further or _is_loopback(further[0]))):
            listen = self.certificates.listen if self.server.is_loopback else self.server.listen
            raise ValueError(
                f"listen is {listen}: an address that others can reach needs a "
                "root.secret_key of 16 characters or more that is no known default"
            )
        return self


def _check_tree(osds: tuple[OsdConfig, ...]) -> None:
    above: dict[str, tuple[str, ...]] = {}
    for osd in osds:
        path = ("datacenter", osd.datacenter), ("rack", osd.rack), ("host", osd.host)
        for level, (kind, name) in enumerate(path):
            here = (kind, *(each for _, each in path[:level]))
            if above.setdefault(name, here) != here:
                raise ValueError(f"osds: {name} is in two places of the tree; choose another name")


def _check_pool(pool: PoolConfig, osds: tuple[OsdConfig, ...]) -> None:
    usable = [osd for osd in osds if pool.device_class in ("", osd.device_class) and osd.weight]
    found = len({osd.domain(pool.across) for osd in usable})
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


def to_json(config: Config) -> str:
    """Return all settings, secrets in the clear: for a pipe to a child, never for a log."""
    return config.model_dump_json(context={"reveal": True})


def from_json(text: str) -> Config:
    """Return the settings that `to_json` wrote."""
    return Config(**json.loads(text))
