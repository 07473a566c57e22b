"""Endpoints of topics: how they are written, and which of them the operator allows.

The server opens connections only to hosts and ports that the operator has named: a topic is made
by any user, and must not make the server speak to machines that the user cannot reach
(CVE-2026-50221, CVE-2021-21287: server-side request forgery).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

import msgspec

_PORTS = {"amqp": 5672, "amqps": 5671, "http": 80, "https": 443, "kafka": 9092}


class Endpoint(msgspec.Struct, frozen=True):
    """Where to publish."""

    scheme: str  # amqp, amqps, http, https, kafka
    host: str
    port: int
    user: str = ""
    password: str = ""
    path: str = ""  # as written; on AMQP the virtual host

    @property
    def is_amqp(self) -> bool:
        return self.scheme.startswith("amqp")

    @property
    def is_secure(self) -> bool:
        return self.scheme in {"amqps", "https"}

    @property
    def virtual_host(self) -> str:
        """The AMQP virtual host, "/" where none is named (amqp URI specification)."""
        return unquote(self.path[1:]) or "/"

    @property
    def shown(self) -> str:
        """The endpoint without its password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}:********@" if self.user else ""
        return f"{self.scheme}://{user}{host}:{self.port}{self.path}"


def parse_endpoint(url: str) -> Endpoint:
    """Return the endpoint of a URL. Raises ValueError with what is wrong with it."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("an endpoint is a URL of printable ASCII characters")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"an endpoint begins with one of {', '.join(sorted(_PORTS))}")
    if not parts.hostname or parts.fragment:
        raise ValueError("an endpoint names a host and no fragment")
    query = f"?{parts.query}" if parts.query else ""
    return Endpoint(
        parts.scheme,
        parts.hostname,
        parts.port if parts.port is not None else _PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        parts.path + query,
    )


class AllowList:
    """Hosts and ports that may be connected to: "broker.site.org:5672", "*.site.org:*"."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [_split(pattern) for pattern in patterns]

    def allows(self, endpoint: Endpoint) -> bool:
        """Tell whether the operator has named this host and port."""
        host, port = endpoint.host.lower(), str(endpoint.port)
        return any(
            fnmatchcase(host, known_host) and known_port in ("*", port)
            for known_host, known_port in self._patterns
        )


def _split(pattern: str) -> tuple[str, str]:
    host, _, port = pattern.lower().rpartition(":")
    return host.strip("[]"), port
