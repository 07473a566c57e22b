"""Signature Version 4 in the Authorization header, fast enough to sign each request as it is sent.

What does not change within a second is rendered once (`Template`); a request then costs one SHA-256
and one HMAC. Source: AWS, "Signature Calculations for the Authorization Header: Transferring
Payload in a Single Chunk". Paths and queries come in already encoded; queries sorted by name.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

UNSIGNED = b"UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest().encode()
_SHA256 = "x-amz-content-sha256"


@dataclass(frozen=True, slots=True)
class Account:
    """A key pair; `token` goes with temporary ones. Secrets are not shown by repr()."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class Signer:
    """Signs for one account at one host (as the Host header names it); `clock` in seconds."""

    def __init__(
        self, host: str, account: Account, region: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.host = host
        self.account = account
        self.region = region
        self.clock = clock

    def scope(self, date: str) -> tuple[str, bytes]:
        """Return the credential scope of a date (20260131) and its signing key."""
        parts = (date, self.region, "s3", "aws4_request")
        key = f"AWS4{self.account.secret_key}".encode()
        for part in parts:
            key = hmac.digest(key, part.encode(), "sha256")
        return "/".join(parts), key

    def render(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        sha256: bytes = EMPTY_SHA256,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return one request's head; see Template."""
        return Template(self, method, query, size=size, headers=headers).render(
            path.encode(), sha256
        )


class Template:
    """Requests that differ in path and payload hash only, signed for the second they are made in.

    `size` is the Content-Length, for requests that have a body. `headers` are signed too; their
    names are in lower case and sort before x-amz-content-sha256.
    """

    def __init__(
        self,
        signer: Signer,
        method: str,
        query: str = "",
        *,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._signer = signer
        self._clock = signer.clock
        self._second = -1
        self._method = method
        self._query = query
        self._headers = {**(headers or {}), "host": signer.host}
        self._length = "" if size is None else f"Content-Length: {size}\r\n"

    def render(self, path: bytes, sha256: bytes = EMPTY_SHA256) -> bytes:
        """Return the request line and all headers, up to the empty line that ends them."""
        second = int(self._clock())
        if second != self._second:
            self._renew(second)
        method, query, dated = self._canonical
        canonical = b"".join((method, path, query, sha256, dated, sha256))
        digest = hashlib.sha256(canonical).hexdigest().encode()
        signature = hmac.digest(self._key, self._to_sign + digest, "sha256").hex().encode()
        verb, head, hashed = self._wire
        return b"".join((verb, path, head, signature, hashed, sha256, b"\r\n\r\n"))

    def _renew(self, second: int) -> None:
        """Render everything that depends on the time."""
        self._second = second
        amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        scope, self._key = self._signer.scope(amz_date[:8])
        account = self._signer.account
        dated = {"x-amz-date": amz_date}
        if account.token:
            dated["x-amz-security-token"] = account.token
        before = dict(sorted(self._headers.items()))
        signed = ";".join((*before, _SHA256, *dated))
        self._to_sign = f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n".encode()
        lines = "".join(f"{name}:{value}\n" for name, value in before.items())
        dated_lines = "".join(f"\n{name}:{value}" for name, value in dated.items())
        self._canonical = (
            f"{self._method}\n".encode(),
            f"\n{self._query}\n{lines}{_SHA256}:".encode(),
            f"{dated_lines}\n\n{signed}\n".encode(),
        )
        fields = "".join(f"{name}: {value}\r\n" for name, value in (before | dated).items())
        query = f"?{self._query}" if self._query else ""
        self._wire = (
            f"{self._method} ".encode(),
            f"{query} HTTP/1.1\r\n{fields}{self._length}Authorization: AWS4-HMAC-SHA256 "
            f"Credential={account.access_key}/{scope}, SignedHeaders={signed}, Signature=".encode(),
            f"\r\n{_SHA256}: ".encode(),
        )
