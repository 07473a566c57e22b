"""Challenges: what a client signs to prove that it has the key of a certificate. Pure.

A challenge needs no memory: it carries its own end, under an HMAC that only this store can make.
What is signed names the host too, so that no other server can pass ours on to its own clients.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509 import Certificate

from s3server.errors import AccessDenied, ProofRefused

LIFETIME_MS = 60_000
PURPOSE = "AssumeRoleWithCertificate"
_RANDOM, _TAG = 16, 32
_LENGTH = 8 + _RANDOM + _TAG


class Challenges:
    """Makes challenges and knows its own; of several master keys the last one makes them."""

    def __init__(self, *master_keys: bytes) -> None:
        self._keys = [
            HKDF(SHA256(), 32, salt=None, info=b"s3server challenges").derive(key)
            for key in reversed(master_keys)
        ]

    def make(self, now_ms: int) -> str:
        """Return a new challenge, good for LIFETIME_MS."""
        head = (now_ms + LIFETIME_MS).to_bytes(8, "big") + os.urandom(_RANDOM)
        return base64.urlsafe_b64encode(head + _tag(self._keys[0], head)).decode()

    def check(self, challenge: str, now_ms: int) -> None:
        """Raise ProofRefused unless the challenge is one of this store; AccessDenied once over."""
        try:
            raw = base64.b64decode(challenge.encode("ascii"), b"-_", validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        head, tag = raw[:-_TAG], raw[-_TAG:]
        is_ours = len(raw) == _LENGTH and any(
            hmac.compare_digest(tag, _tag(key, head)) for key in self._keys
        )
        if not is_ours:
            raise ProofRefused("The challenge is not of this server.")
        if now_ms >= int.from_bytes(head[:8], "big"):
            raise AccessDenied("The challenge is over.")


def _tag(key: bytes, head: bytes) -> bytes:
    return hmac.digest(key, head, "sha256")


def signed_text(host: str, challenge: str) -> bytes:
    """Return what a client signs: for whom it is, by the host that it talks to, and the rest."""
    return f"{PURPOSE}\n{host.lower()}\n{challenge}".encode()


def proves(leaf: Certificate, signature: bytes, text: bytes) -> bool:
    """Return whether a certificate's key signed a text: RSA (PKCS #1 v1.5) or ECDSA, SHA-256."""
    key = leaf.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, text, padding.PKCS1v15(), SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, text, ec.ECDSA(SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True
