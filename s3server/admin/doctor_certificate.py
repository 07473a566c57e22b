"""Looks at the certificate that the server shows: whether it can be used, for whom and how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509

from s3server.admin.finding import Finding, Level
from s3server.config import Config, ConfigError
from s3server.process import tls

SOON_DAYS = 21
_WHAT = "certificate"


def examine_certificate(config: Config, now: datetime) -> Iterator[Finding]:
    """Yield what was found; nothing where the server speaks plain HTTP."""
    if config.tls.certificate is None:
        return
    try:
        tls.context(config.tls)
        found = x509.load_pem_x509_certificate(config.tls.certificate.read_bytes())
    except (ConfigError, OSError, ValueError) as error:
        yield Finding(_WHAT, Level.BAD, str(error))
        return
    days = (found.not_valid_after_utc - now).total_seconds() / 86_400
    until = f"{config.tls.certificate}: valid until {found.not_valid_after_utc:%Y-%m-%d}"
    if days < 0:
        yield Finding(_WHAT, Level.BAD, f"{until}, which is over: renew it, then SIGHUP")
    elif found.not_valid_before_utc > now:
        begin = f"{found.not_valid_before_utc:%Y-%m-%d %H:%M}Z"
        yield Finding(_WHAT, Level.BAD, f"{config.tls.certificate}: valid from {begin} only")
    elif days < SOON_DAYS:
        yield Finding(_WHAT, Level.WARNING, f"{until}, in {days:.0f} days: renew it, then SIGHUP")
    else:
        yield Finding(_WHAT, Level.OK, until)
    names = _names(found)
    for wanted in _wanted(config):
        if wanted not in names:
            text = f"not for {wanted}, which clients use: it is for {', '.join(sorted(names))}"
            yield Finding(_WHAT, Level.WARNING, text)


def _names(found: x509.Certificate) -> set[str]:
    try:
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = map(str, held.get_values_for_type(x509.IPAddress))
    return {name.lower() for name in (*held.get_values_for_type(x509.DNSName), *addresses)}


def _wanted(config: Config) -> Iterator[str]:
    """Yield the names that clients may use, as a certificate has them."""
    for domain in config.server.base_domains:
        yield from (domain.lower(), f"*.{domain.lower()}")
    for url in config.server.external_urls:
        if (host := urlsplit(url).hostname) and host not in config.server.base_domains:
            yield host
