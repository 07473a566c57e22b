"""The chained signatures of an aws-chunked body: each one covers the one before it.

Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks", and its page on trailing headers, Amazon S3 API Reference.
"""

from __future__ import annotations

import hmac

from s3server.auth.hmac_key import HmacKey
from s3server.auth.sigv4 import EMPTY_SHA256, Claim
from s3server.errors import SignatureDoesNotMatch


class ChunkSignatures:
    """A ChunkVerifier: the chain begins with the signature of the request itself."""

    def __init__(self, claim: Claim, signing_key: HmacKey) -> None:
        self._key = signing_key
        self._context = f"{claim.timestamp}\n{claim.scope}"
        self._previous = claim.signature

    def verify_chunk(self, signature: str, sha256_hex: str) -> None:
        """Prove the next chunk, whose bytes have this SHA-256. Raises SignatureDoesNotMatch."""
        self._verify(
            signature,
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._context}\n{self._previous}\n"
            f"{EMPTY_SHA256}\n{sha256_hex}",
        )

    def verify_trailer(self, signature: str, sha256_hex: str) -> None:
        """Prove the trailing headers: the SHA-256 is of their lines "name:value\\n".

        Raises SignatureDoesNotMatch.
        """
        self._verify(
            signature, f"AWS4-HMAC-SHA256-TRAILER\n{self._context}\n{self._previous}\n{sha256_hex}"
        )

    def _verify(self, signature: str, text: str) -> None:
        expected = self._key.hex(text.encode("latin-1", "replace"))
        if not hmac.compare_digest(expected.encode(), signature.encode("latin-1", "replace")):
            raise SignatureDoesNotMatch(StringToSign=text, SignatureProvided=signature)
        self._previous = expected
