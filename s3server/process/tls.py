"""The certificate that a worker shows, where it is the server itself that ends TLS."""

from __future__ import annotations

import ssl

from s3server.config import ConfigError, TlsConfig

HANDSHAKE_S = 10  # like the headers of a request on a plain connection


def context(config: TlsConfig) -> ssl.SSLContext | None:
    """Return what connections are accepted with: TLS 1.2 and 1.3, HTTP/1.1; None for plain HTTP.

    Files are read now, so a worker shows the certificate that was there when it started. Raises
    ConfigError where they cannot be read or do not belong together.
    """
    if config.certificate is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(config.certificate, config.key, password=_refuse)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"tls.certificate {config.certificate}: {error}") from error
    return made


def _refuse() -> str:
    """Nobody is there to be asked for a password, which OpenSSL would do on the terminal."""
    raise ValueError("tls.key must not need a password")
