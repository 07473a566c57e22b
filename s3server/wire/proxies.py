"""Requests that came through a reverse proxy: who sent them, and over which scheme.

X-Forwarded-For, -Proto, -Host and -TLS-Version ("TLSv1.3", nginx's $ssl_protocol) count only where
the peer is a proxy that the operator named; anybody else may write what they like into them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from msgspec.structs import replace

from s3server.model import HttpRequest


class TrustedProxies:
    """The proxies in front of this server, as addresses or networks ("10.1.0.0/16")."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def resolve(self, request: HttpRequest) -> tuple[HttpRequest, bool]:
        """Return the request as its true sender sent it, and whether the peer is trusted."""
        if not self._networks or not self._trusts(request.client):
            return request, False
        scheme = request.headers.get("x-forwarded-proto", request.scheme).strip().lower()
        return replace(
            request,
            client=self._sender(request),
            scheme=scheme if scheme in {"http", "https"} else request.scheme,
            tls_version=request.headers.get("x-forwarded-tls-version", "").removeprefix("TLSv"),
        ), True

    def _sender(self, request: HttpRequest) -> str:
        """Return the last address that no trusted proxy stands behind."""
        client = request.client
        for hop in reversed(request.headers.get("x-forwarded-for", "").split(",")):
            if not hop.strip() or not self._trusts(client):
                break
            client = hop.strip()
        return client

    def _trusts(self, address: str) -> bool:
        if not address:  # the peer of a unix socket: whoever may open it is the operator's
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)
