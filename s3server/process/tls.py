"""The certificate that a worker shows, where it is the server itself that ends TLS.

And what it asks of the clients of the listener for certificates.
"""

from __future__ import annotations

import os
import ssl
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cryptography import x509

from s3server.config import Config, ConfigError, TlsConfig
from s3server.process import client_chain

HANDSHAKE_S = 10  # like the headers of a request on a plain connection


def context(config: TlsConfig) -> ssl.SSLContext | None:
    """Return what connections are accepted with: TLS 1.2 and 1.3, HTTP/1.1; None for plain HTTP.

    Files are read now; those of a worker are what the supervisor holds (`Held`). Raises
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
        files = f"tls.certificate {config.certificate}, tls.key {config.key or 'in the same file'}"
        raise ConfigError(f"{files}: {error}") from error  # OpenSSL does not say which of them
    return made


class Held:
    """The certificate and its key as they could be used, in memory, for all workers.

    So one that dies is replaced whatever has become of the files until the next SIGHUP.
    """

    def __init__(self, config: TlsConfig) -> None:
        """Read the files. Raises ConfigError where they cannot be used, or change meanwhile."""
        context(config)
        content = _contents(config)
        context(config)  # what was read is what can be used if it is the same after this
        if content != _contents(config):
            raise ConfigError("tls.certificate, tls.key: they changed while they were read")
        self._files = {name: _in_memory(name, held) for name, held in content.items()}

    @property
    def descriptors(self) -> list[int]:
        """What children inherit, for as long as this is referred to."""
        return [file.fileno() for file in self._files.values()]

    def settings(self, config: Config) -> Config:
        """Return settings that name what is held."""
        names = {name: Path(f"/proc/self/fd/{file.fileno()}") for name, file in self._files.items()}
        return config.model_copy(update={"tls": config.tls.model_copy(update=names)})


def _contents(config: TlsConfig) -> dict[str, bytes]:
    files = {"certificate": config.certificate, "key": config.key}
    try:
        return {name: file.read_bytes() for name, file in files.items() if file is not None}
    except OSError as error:
        raise ConfigError(f"tls.certificate, tls.key: {error}") from error


def _in_memory(name: str, content: bytes) -> BinaryIO:
    file = os.fdopen(os.memfd_create(name), "wb", buffering=0)
    file.write(content)
    return file


def is_over(config: TlsConfig, now: datetime) -> bool:
    """Return whether the certificate, which context() could use, has ended, as far as is known."""
    if config.certificate is None:
        return False
    try:
        found = x509.load_pem_x509_certificate(config.certificate.read_bytes())
    except ValueError:  # stricter than OpenSSL, which shows it
        return False
    return found.not_valid_after_utc < now


def context_for_certificates(config: Config) -> ssl.SSLContext:
    """Return what connections are accepted with whose clients have to show a certificate.

    Proxies are let through (RFC 3820). OpenSSL proves that the client has the key and that some
    authority vouches for it; what the chain is good for, `auth/proxy_chain.py` decides, with the
    revocation lists: OpenSSL would keep those that it read first, and refuse all once they end.
    Raises ConfigError.
    """
    made, authorities = context(config.tls), config.certificates.authorities
    if made is None or authorities is None:
        raise ConfigError("certificates.listen needs tls.certificate and certificates.authorities")
    if not client_chain.is_supported():
        raise ConfigError("certificates.listen: this Python does not tell the chains of clients")
    if not authorities.is_dir():  # which OpenSSL would find out with the first client
        raise ConfigError(f"certificates.authorities {authorities}: not a directory")
    made.load_verify_locations(capath=authorities)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS | ssl.VERIFY_X509_PARTIAL_CHAIN
    made.options |= ssl.OP_NO_TICKET  # what is resumed by a ticket has no chain
    made.num_tickets = 0
    return made


def _refuse() -> str:
    """Nobody is there to be asked for a password, which OpenSSL would do on the terminal."""
    raise ValueError("tls.key must not need a password")
