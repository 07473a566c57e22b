"""A directory of certificate authorities, as grids keep it in /etc/grid-security/certificates.

`<hash>.0` is an authority, `<hash>.r0` its revocation list; other files are left alone. Files are
read again when they change, as fetch-crl changes them several times a day.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import structlog
from cryptography import x509

from s3server.auth.proxy_chain import Trust

_NAME = re.compile(r"[^.]+\.(?P<crl>r?)[0-9]").fullmatch
_log = structlog.get_logger("certificates")
Parsed = x509.Certificate | x509.CertificateRevocationList


class AuthorityDirectory:
    """What is trusted, as it is in the files at the time."""

    def __init__(self, path: Path, *, needs_crls: bool, allows_limited: bool) -> None:
        self._path, self._needs_crls, self._allows_limited = path, needs_crls, allows_limited
        self._parsed: dict[tuple[str, int, int, int], Parsed | None] = {}

    def trust(self) -> Trust:
        """Return what chains are held against; reads files. Raises OSError without a directory."""
        parsed: dict[tuple[str, int, int, int], Parsed | None] = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                found = _NAME(entry.name)
                if found is None:
                    continue
                try:
                    status = entry.stat()
                except OSError:  # replaced at this moment, or a link to nowhere
                    continue
                state = (entry.name, status.st_mtime_ns, status.st_size, status.st_ino)
                known = self._parsed.get(state)
                parsed[state] = known or _parse(Path(entry.path), is_crl=found["crl"] == "r")
        self._parsed = parsed
        crls: dict[x509.Name, tuple[x509.CertificateRevocationList, ...]] = {}
        for one in parsed.values():
            if isinstance(one, x509.CertificateRevocationList):
                crls[one.issuer] = (*crls.get(one.issuer, ()), one)
        authorities = [one for one in parsed.values() if isinstance(one, x509.Certificate)]
        return Trust(tuple(authorities), crls, self._needs_crls, self._allows_limited)


def _parse(path: Path, *, is_crl: bool) -> Parsed | None:
    """Return what a file holds; None where that is nothing of use: it then vouches for nobody."""
    try:
        content = path.read_bytes()
        is_pem = b"-----BEGIN" in content
        if is_crl:
            load_crl = x509.load_pem_x509_crl if is_pem else x509.load_der_x509_crl
            return load_crl(content)
        return x509.load_pem_x509_certificate(content)
    except (OSError, ValueError) as error:
        _log.warning("file of an authority cannot be used", file=str(path), reason=str(error))
        return None
