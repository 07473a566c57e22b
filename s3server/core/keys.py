"""Data keys of encrypted objects: wrapped by the key ring (SSE-S3) or by the client's key (SSE-C).

Source: "Protecting data with server-side encryption", Amazon S3 user guide. The ring is a file of
keys, one in hexadecimal per line; the last one wraps, all of them unwrap. It is read again when it
changes, so that a rotation holds at once in every process.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TextIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3server.core.sealing import KEY_BYTES
from s3server.errors import AccessDenied
from s3server.meta.durable import replace_durably, sync_path

NONCE = 12
_PURPOSE = b"s3server data key"


class KeyRingError(Exception):
    """The key ring cannot be used: it is missing, readable by others, damaged, or lacks a key."""


class LostKeyError(KeyRingError):
    """The ring lacks a key that something is wrapped by."""


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """How an object is encrypted; what `ObjectRecord.encryption` holds."""

    kind: str  # "AES256" or "SSE-C"
    key_id: str  # of the ring's key; for SSE-C the MD5 of the client's, in base64
    wrapped: bytes  # nonce, data key, tag

    @property
    def is_customers(self) -> bool:
        return self.kind == "SSE-C"


def write_envelope(envelope: Envelope) -> bytes:
    """Return the stored form."""
    return msgspec.msgpack.encode(envelope)


def read_envelope(stored: bytes) -> Envelope:
    """Return what an object's record says of its encryption."""
    return msgspec.msgpack.decode(stored, type=Envelope)


def wrap_for_customer(data_key: bytes, key: bytes, key_md5: str) -> Envelope:
    """Wrap a data key by the key that a client sent and will have to send again."""
    return Envelope("SSE-C", key_md5, _wrap(key, data_key))


def unwrap_for_customer(envelope: Envelope, key: bytes) -> bytes:
    """Return the data key. Raises AccessDenied for another key than that of the upload."""
    try:
        return _unwrap(key, envelope.wrapped)
    except InvalidTag:
        raise AccessDenied from None


class KeyRing:
    """The keys of SSE-S3."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._keys: dict[str, bytes] = {}

    def wrap(self, data_key: bytes) -> Envelope:
        """Wrap a data key by the last key of the ring, which is made where there is none."""
        if not self._exists():
            self.create()
        keys = self._load()
        key_id = next(reversed(keys))
        return Envelope("AES256", key_id, _wrap(keys[key_id], data_key))

    def unwrap(self, envelope: Envelope) -> bytes:
        """Return a data key. Raises LostKeyError, KeyRingError."""
        has_ring = self._exists()
        key = self._load().get(envelope.key_id) if has_ring else None
        if key is None:
            what = "lacks the key" if has_ring else "is missing, which has the key"
            raise LostKeyError(f"{self._path} {what} {envelope.key_id}")
        return _unwrap(key, envelope.wrapped)

    def rewrap(self, envelope: Envelope) -> Envelope | None:
        """Wrap a data key by the last key of the ring; None where that or a client's did.

        Raises LostKeyError, KeyRingError.
        """
        if envelope.is_customers:
            return None
        data_key = self.unwrap(envelope)
        newest = next(reversed(self._load()))
        return None if envelope.key_id == newest else self.wrap(data_key)

    def create(self) -> None:
        """Make the first key, unless somebody was faster. Raises KeyRingError for a lost ring."""
        with self._locked() as lock:
            if not self._path.exists():
                self._add_key(lock)

    def count(self) -> int:
        """Return how many keys there are, 0 before the first one; changes nothing.

        Raises KeyRingError where they cannot be used, or are lost.
        """
        if self._exists():
            return len(self._load())
        with self._reading():
            was_made = self._lock_path.is_file() and self._lock_path.read_text()
        if was_made:
            raise KeyRingError(self._tell_of_loss())
        return 0

    def rotate(self) -> str:
        """Add a key, which wraps from now on; return its id. Durable on return."""
        with self._locked() as lock:
            self._add_key(lock)
        return next(reversed(self._load()))

    @property
    def _lock_path(self) -> Path:
        return self._path.with_name(f".{self._path.name}.lock")

    def _tell_of_loss(self) -> str:
        return (
            f"{self._path} is missing, which opens what is encrypted: put it back. Where it is "
            f"lost, so is that, and one begins with a new one by removing {self._lock_path}"
        )

    @contextmanager
    def _locked(self) -> Iterator[TextIO]:
        """Let one process at a time add keys: none must lose another's.

        Raises KeyRingError where nothing can be written: credentials of systemd are read only.
        """
        try:
            with self._lock_path.open("a+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield lock
        except OSError as error:
            raise KeyRingError(
                f"{self._path}: no key can be added here ({error.strerror}); add a line of "
                f"{KEY_BYTES} random bytes in hexadecimal where the file comes from"
            ) from error

    def _add_key(self, lock: TextIO) -> None:
        """Add a key. That there is one is told by what is in `lock`, also if the ring gets lost.

        In its place another one would open nothing that is encrypted, and be lost in turn with all
        that it wrapped once the ring is put back.
        """
        lines = ""
        lock.seek(0)
        if self._path.exists():
            self._load()  # nothing is added to what cannot be used
            lines = self._path.read_text("ascii")
        elif lock.read():
            raise KeyRingError(self._tell_of_loss())
        key = secrets.token_bytes(KEY_BYTES)
        replace_durably(self._path, f"{lines}{key.hex()}\n")
        lock.write("made\n")

    def _load(self) -> dict[str, bytes]:
        """Return the keys by their ids, oldest first. Raises KeyRingError."""
        with self._reading():
            found = self._path.stat()
            state = found.st_mtime_ns, found.st_ino, found.st_size
            if state != self._state:
                self._keys, self._state = self._read(found), state
        return self._keys

    def _exists(self) -> bool:
        with self._reading():
            return self._path.exists()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise KeyRingError(f"{self._path} cannot be read: {error.strerror}") from error

    def _read(self, found: os.stat_result) -> dict[str, bytes]:
        # A group may read it: so shows systemd's access list for the user of a service.
        if stat.S_IMODE(found.st_mode) & 0o037:
            raise KeyRingError(f"{self._path} must be its owner's only: chmod 600")
        try:
            keys = [bytes.fromhex(line) for line in self._path.read_text("ascii").split()]
        except ValueError:
            keys = []
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise KeyRingError(
                f"{self._path} does not hold keys of {KEY_BYTES} bytes in hexadecimal"
            )
        if os.access(self._path.parent, os.W_OK):  # else nobody has just written it
            sync_path(self._path.parent)  # a key is used only once it cannot be lost
        return {sha256(key).hexdigest()[:16]: key for key in keys}


def _wrap(key: bytes, data_key: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data_key, _PURPOSE)


def _unwrap(key: bytes, wrapped: bytes) -> bytes:
    return AESGCM(key).decrypt(wrapped[:NONCE], wrapped[NONCE:], _PURPOSE)
