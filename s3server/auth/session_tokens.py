"""Session tokens: temporary credentials that carry, sealed, everything they are good for.

Any process with the store's master key opens them, so there is no list of sessions to be looked
up, copied or cleaned. A token is base64url of

    format (1 byte), id of the key (4), nonce (12), AES-256-GCM of the session, tag (16)

under a key derived from a master key (HKDF, RFC 5869) for nothing else, and bound to its access key
id. The newest master key seals, all of them open.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import string
import zlib
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from s3server.auth.secrets import new_secret
from s3server.errors import InvalidToken
from s3server.model import Lineage, Pairs
from s3server.sts_errors import PackedPolicyTooLarge

MAX_TOKEN_CHARACTERS = 4_096  # of the 8 KiB that all headers of a request may have
_FORMAT = b"\x01"
_KEY_ID_BYTES, _NONCE_BYTES = 4, 12
_NONCE_AT = len(_FORMAT) + _KEY_ID_BYTES
_SEALED_AT = _NONCE_AT + _NONCE_BYTES
_ID_ALPHABET = string.ascii_uppercase + "234567"


class Session(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What temporary credentials are good for, and what they end with."""

    access_key_id: str
    secret: str
    issued_ms: int
    expires_ms: int
    lineage: Lineage
    name: str = ""  # session name; "" where it is the user's own session, and not a role's
    policies: tuple[str, ...] = ()  # session policies: documents, each of which must allow
    tags: Pairs = ()
    provider: str = ""  # who vouched for it: an issuer of tokens, or "x509"
    subject: str = ""  # for whom

    def __repr__(self) -> str:
        return f"Session({self.access_key_id!r})"  # the secret stays out of logs


class TokenBox:
    """Seals and opens session tokens."""

    def __init__(self, *master_keys: bytes) -> None:
        self._ciphers = dict(map(_derived, master_keys))
        self._newest = _derived(master_keys[-1])[0]
        self.open = lru_cache(maxsize=1_024)(self._open)

    def seal(self, session: Session) -> str:
        """Return the token. Raises PackedPolicyTooLarge where it would be too long for a header."""
        nonce = os.urandom(_NONCE_BYTES)
        text = zlib.compress(msgspec.msgpack.encode(session), 9)
        sealed = self._ciphers[self._newest].encrypt(nonce, text, _bound(session.access_key_id))
        token = base64.urlsafe_b64encode(_FORMAT + self._newest + nonce + sealed).decode()
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise PackedPolicyTooLarge
        return token

    def _open(self, token: str, access_key_id: str) -> Session:
        """Return the session of a token, expired or not. Raises InvalidToken."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken
        try:
            raw = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
            cipher = self._ciphers[raw[len(_FORMAT) : _NONCE_AT]]
            nonce, sealed = raw[_NONCE_AT:_SEALED_AT], raw[_SEALED_AT:]
            text = cipher.decrypt(nonce, sealed, _bound(access_key_id))
        except (binascii.Error, KeyError, InvalidTag, ValueError):
            raise InvalidToken from None
        if not raw.startswith(_FORMAT):
            raise InvalidToken
        return msgspec.msgpack.decode(zlib.decompress(text), type=Session)


def packed_percent(token: str) -> int:
    """Return how much of the size that a token may have it uses, in percent."""
    return max(1, len(token) * 100 // MAX_TOKEN_CHARACTERS)


def new_session_keys() -> tuple[str, str]:
    """Return an access key id ("ASIA" and 80 random bits) and a secret."""
    return "ASIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16)), new_secret()


def _derived(master_key: bytes) -> tuple[bytes, AESGCM]:
    """Return the key of tokens that belongs to a master key, and its id."""
    key = HKDF(SHA256(), 32, salt=None, info=b"s3server session tokens").derive(master_key)
    digest = Hash(SHA256())
    digest.update(key)
    return digest.finalize()[:_KEY_ID_BYTES], AESGCM(key)


def _bound(access_key_id: str) -> bytes:
    return b"s3server session " + access_key_id.encode()
