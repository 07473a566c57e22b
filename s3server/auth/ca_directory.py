"""A directory of certificate authorities, as grids keep it in /etc/grid-security/certificates.

`<hash>.0` is an authority, `<hash>.r0` its revocation list, `<hash>.signing_policy` whom it may
vouch for; other files are left alone. They are read again when they change, as fetch-crl changes
them several times a day.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import structlog
from cryptography import x509

from s3server.auth.proxy_chain import ChainError, Trust, write_name
from s3server.auth.signing_policy import Subjects, read_signing_policy, usual_name

_NAME = re.compile(r"(?P<hash>[^.]+)\.(?P<kind>r?[0-9]|signing_policy)").fullmatch
_log = structlog.get_logger("certificates")
Parsed = x509.Certificate | x509.CertificateRevocationList | Subjects
_State = tuple[str, int, int, int]  # of a file: name, time of change, size, inode


class AuthorityDirectory:
    """What is trusted, as it is in the files at the time."""

    def __init__(
        self, path: Path, *, needs_crls: bool, needs_policies: bool, allows_limited: bool
    ) -> None:
        self._path, self._allows_limited = path, allows_limited
        self._needs_crls, self._needs_policies = needs_crls, needs_policies
        self._parsed: dict[_State, Parsed | None] = {}

    def trust(self) -> Trust:
        """Return what chains are held against; reads files. Raises OSError without a directory."""
        parsed: dict[_State, Parsed | None] = {}
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
                parsed[state] = known or _parse(Path(entry.path), found["kind"])
        self._parsed = parsed
        crls: dict[x509.Name, tuple[x509.CertificateRevocationList, ...]] = {}
        for one in parsed.values():
            if isinstance(one, x509.CertificateRevocationList):
                crls[one.issuer] = (*crls.get(one.issuer, ()), one)
        return Trust(
            tuple(one for one in parsed.values() if isinstance(one, x509.Certificate)),
            crls,
            _subjects({name: one for (name, *_), one in parsed.items()}),
            needs_crls=self._needs_crls,
            needs_policies=self._needs_policies,
            allows_limited=self._allows_limited,
        )


def _subjects(files: dict[str, Parsed | None]) -> Subjects:
    """Return what authorities may vouch for: nothing, where the file beside one is of no use."""
    found: Subjects = {}
    for parsed in files.values():
        if isinstance(parsed, dict):
            for authority, subjects in parsed.items():
                found[authority] = (*found.get(authority, ()), *subjects)
    useless = {name.partition(".")[0] for name, parsed in files.items()
               if parsed is None and name.endswith(".signing_policy")}  # fmt: skip
    for name, parsed in files.items():
        if isinstance(parsed, x509.Certificate) and name.partition(".")[0] in useless:
            try:
                found[usual_name(write_name(parsed.subject))] = ()
            except ChainError:  # nobody is vouched for by such a name
                continue
    return found


def _parse(path: Path, kind: str) -> Parsed | None:
    """Return what a file holds; None where that is nothing of use: it then vouches for nobody."""
    try:
        content = path.read_bytes()
        if kind == "signing_policy":
            return read_signing_policy(content.decode())
        if kind.startswith("r"):
            is_pem = b"-----BEGIN" in content
            load_crl = x509.load_pem_x509_crl if is_pem else x509.load_der_x509_crl
            return load_crl(content)
        return x509.load_pem_x509_certificate(content)
    except (OSError, ValueError) as error:
        _log.warning("file of an authority cannot be used", file=str(path), reason=str(error))
        return None
