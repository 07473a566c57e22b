"""ETags of encrypted objects: with SSE-C the ETag is not the MD5 of the bytes, else it is.

Source: "Object", Amazon S3 API reference. Clients expect 32 hexadecimal digits of one upload, and
compare nothing with them where they sent a key. So the MD5 is told encrypted, by the object's data
key: it tells nothing of the bytes, differs between objects of the same bytes, and a copy that is
not SSE-C gets the MD5 back without a byte being read. ETags of multipart uploads are made of those
of their parts and stay as they are.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from s3server.core.keys import read_envelope

_PURPOSE = b"s3server etag"


def etag_of(md5: str, encryption: bytes, data_key: bytes) -> str:
    """Return the ETag of bytes with this MD5, in hexadecimal, that are stored so encrypted."""
    if not _is_hidden(md5, encryption):
        return md5
    cipher = _cipher(data_key).encryptor()
    return (cipher.update(bytes.fromhex(md5)) + cipher.finalize()).hex()


def md5_of(etag: str, encryption: bytes, data_key: bytes) -> str:
    """Return the MD5 that etag_of() made an ETag of."""
    if not _is_hidden(etag, encryption):
        return etag
    cipher = _cipher(data_key).decryptor()
    return (cipher.update(bytes.fromhex(etag)) + cipher.finalize()).hex()


def _is_hidden(etag: str, encryption: bytes) -> bool:
    return bool(encryption) and "-" not in etag and read_envelope(encryption).is_customers


def _cipher(data_key: bytes) -> Cipher[ECB]:
    key = hmac.digest(data_key, _PURPOSE, "sha256")
    return Cipher(AES(key), ECB())  # noqa: S305 (one block is all there is)
