"""Connections of clients that show a certificate: their requests say which chain that was.

OpenSSL verifies, and proves that the client has the key; of Python's `ssl` only 3.13 tells what
certificates the client sent beside its own, which proxies need. Until then the method is there
below the public object, in `_ssl` (3.10 to 3.12). All that rests on it is in this file.
"""

from __future__ import annotations

import _ssl
import asyncio
import ssl
from typing import Any

from s3server.process.protocol import S3Protocol
from s3server.wire.response import WHOLE


def is_supported() -> bool:
    """Return whether this Python tells the chain of a client."""
    places = ssl.SSLObject, getattr(_ssl, "_SSLSocket", None)
    return any(hasattr(place, "get_unverified_chain") for place in places)


def chain_of(tls: Any) -> tuple[str, ...]:
    """Return what a client sent, in PEM, its own certificate first. `tls` is an `ssl.SSLObject`."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(map(ssl.DER_cert_to_PEM_cert, tls.get_unverified_chain()))
    return tuple(one.public_bytes() for one in tls._sslobj.get_unverified_chain() or ())


class CertificateProtocol(S3Protocol):
    """A connection whose requests carry the chain of the client, as ASGI's TLS extension says."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, after the handshake."""
        super().connection_made(transport)
        chain = chain_of(transport.get_extra_info("ssl_object"))
        self._extensions = {WHOLE: {}, "tls": {"client_cert_chain": chain}}
