"""How the certificate of an endpoint is checked."""

from __future__ import annotations

import ssl


def tls_context(*, verify: bool, ca_file: str) -> ssl.SSLContext:
    """Return how a broker's certificate is checked: as the system does, or by one CA file."""
    context = ssl.create_default_context(cafile=ca_file or None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
