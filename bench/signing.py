"""Signature Version 4 in the Authorization header, for requests rendered before they are timed.

Source: AWS, "Signature Calculations for the Authorization Header: Transferring Payload in a
Single Chunk". Paths and queries come in already encoded; queries sorted by name.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_SIGNED = "host;x-amz-content-sha256;x-amz-date"


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one host at one fixed time (`amz_date` as 20260131T235959Z; valid 15 minutes)."""

    host: str
    access_key: str
    signing_key: bytes
    amz_date: str
    region: str

    def render(
        self, method: str, path: str, query: str = "", *, sha256: str = EMPTY_SHA256, size: int = 0
    ) -> bytes:
        """Return the request line and all headers, up to the empty line that ends them."""
        headers = f"host:{self.host}\nx-amz-content-sha256:{sha256}\nx-amz-date:{self.amz_date}\n"
        canonical = f"{method}\n{path}\n{query}\n{headers}\n{_SIGNED}\n{sha256}"
        scope = f"{self.amz_date[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self.amz_date}\n{scope}\n{digest}"
        signature = _hmac(self.signing_key, to_sign).hex()
        target = f"{path}?{query}" if query else path
        length = f"Content-Length: {size}\r\n" if method in {"PUT", "POST"} else ""
        return (
            f"{method} {target} HTTP/1.1\r\nHost: {self.host}\r\n{length}"
            f"x-amz-content-sha256: {sha256}\r\nx-amz-date: {self.amz_date}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
            f"SignedHeaders={_SIGNED}, Signature={signature}\r\n\r\n"
        ).encode()


def signer(host: str, access_key: str, secret_key: str, amz_date: str, region: str) -> Signer:
    """Return a Signer with the day's key derived once."""
    key = f"AWS4{secret_key}".encode()
    for part in (amz_date[:8], region, "s3", "aws4_request"):
        key = _hmac(key, part)
    return Signer(host, access_key, key, amz_date, region)
