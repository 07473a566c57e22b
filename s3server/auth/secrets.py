"""Secrets at rest: how they are made, sealed and kept in a file."""  # noqa: A005 (its users import it whole)

from __future__ import annotations

import os
import secrets
import stat
import string
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_MAX_FILE_CHARACTERS = 16 << 10
_FORMAT = b"\x01"  # AES-256-GCM: nonce, ciphertext, tag
_ID_ALPHABET = string.ascii_uppercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits


class SecretError(Exception):
    """A secret or a key file cannot be used."""


class SecretBox:
    """Seals access keys' secrets with AES-256-GCM (NIST SP 800-38D), bound to the key's id.

    The last master key seals, all of them open.
    """

    def __init__(self, *master_keys: bytes) -> None:
        for key in master_keys:
            if len(key) != KEY_BYTES:
                raise SecretError(f"a master key has {len(key)} bytes instead of {KEY_BYTES}")
        self._ciphers = [AESGCM(key) for key in reversed(master_keys)]

    def seal(self, secret: str, access_key_id: str) -> bytes:
        """Return the stored form of a secret; no two calls give the same bytes."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, secret.encode(), _bound(access_key_id))
        return _FORMAT + nonce + sealed

    def open(self, sealed: bytes, access_key_id: str) -> str:
        """Return the secret. Raises SecretError for another key's bytes, or changed ones."""
        if not sealed.startswith(_FORMAT):
            raise SecretError(f"the secret of {access_key_id} is stored in an unknown format")
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for cipher in self._ciphers:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(nonce, text, _bound(access_key_id)).decode()
        raise SecretError(f"the secret of {access_key_id} was not sealed with this master key")


def new_access_key_id() -> str:
    """Return 20 random characters of A-Z and 0-9 (103 bits)."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(20))


def new_secret() -> str:
    """Return 40 random characters of A-Z, a-z and 0-9 (238 bits)."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))


def load_or_create_key_file(path: Path) -> tuple[bytes, ...]:
    """Return the 32-byte keys in `path`, which is made first with one where it does not exist.

    The file holds 64 hexadecimal digits for each key, one per line, the newest last; it has mode
    0600 and is on stable storage before this returns; of several processes that start at once, one
    makes it and all read the same.
    Raises SecretError where others could read it or where it holds something else.
    """
    if not path.exists():
        _create(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, encoding="ascii", errors="replace") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
            raise SecretError(f"{path} must be a file that only its owner can read: chmod 600")
        lines = file.read(_MAX_FILE_CHARACTERS).split()
    try:
        keys = tuple(bytes.fromhex(line) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise SecretError(f"{path} does not hold {2 * KEY_BYTES} hexadecimal digits per line")
    return keys


def _create(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_bytes(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(temporary, path)  # unlike a rename, never replaces a key made meanwhile
        except FileExistsError:
            return
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        temporary.unlink(missing_ok=True)


def _bound(access_key_id: str) -> bytes:
    return b"s3server access key " + access_key_id.encode()
