"""Digests in HTTP's own header fields: what a client wants to be told, and what it promises.

`Digest` and `Want-Digest` (RFC 3230), which grid storage and its clients speak with Adler-32, and
`Repr-Digest`, `Content-Digest` and their `Want-` fields (RFC 9530), which succeeded them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import md5, sha256, sha512

from s3server.errors import InvalidDigest
from s3server.wire.checksums import ADLER32, ALGORITHMS, Running, RunningAdler32, decoded

WANTS = ("want-digest", "want-repr-digest", "want-content-digest")
PROMISES = ("digest", "repr-digest", "content-digest")
# The most that is looked at of one field.
_MAX_ITEMS = 16


@dataclass(frozen=True, slots=True)
class DigestAlgorithm:
    """An algorithm of the IANA registry "Hash Algorithms for HTTP Digest Fields"."""

    name: str  # in RFC 3230
    key: str  # in RFC 9530
    size: int  # bytes
    member: str  # what S3 stores of it is called
    is_hexadecimal: bool  # in RFC 3230; others are base64
    new: Callable[[], Running]


_ALL = (
    DigestAlgorithm("adler32", "adler", 4, ADLER32, True, RunningAdler32),
    DigestAlgorithm("md5", "md5", 16, "ChecksumMD5", False, lambda: md5(usedforsecurity=False)),
    DigestAlgorithm("sha-256", "sha-256", 32, "ChecksumSHA256", False, sha256),
    DigestAlgorithm("sha-512", "sha-512", 64, "ChecksumSHA512", False, sha512),
    DigestAlgorithm("crc32c", "crc32c", 4, "ChecksumCRC32C", True, ALGORITHMS["CRC32C"].new),
)
_BY_NAME = {name: one for one in _ALL for name in (one.name, one.key)}

Promised = tuple[tuple[DigestAlgorithm, bytes], ...]


def promised_digests(headers: Mapping[str, str]) -> Promised:
    """Return what a request promises of its body, of algorithms that we know.

    Raises InvalidDigest where the value of one of these is none.
    """
    found: list[tuple[DigestAlgorithm, bytes]] = []
    for field in PROMISES:
        for name, text in _items(headers.get(field, "")):
            algorithm = _BY_NAME.get(name.lower())
            if algorithm is None:
                continue
            digest = _read(algorithm, text, is_old=field == "digest")
            if digest is None:
                raise InvalidDigest(f"The {field} field you specified was invalid.")
            found.append((algorithm, digest))
    return tuple(found)


def _items(text: str) -> list[tuple[str, str]]:
    pairs = (item.strip().partition("=") for item in text.split(",")[:_MAX_ITEMS])
    return [(name.strip(), value.strip()) for name, _, value in pairs if name]


def _read(algorithm: DigestAlgorithm, text: str, *, is_old: bool) -> bytes | None:
    if not is_old:
        is_sequence = len(text) > 2 and text[0] == text[-1] == ":"
        return decoded(text[1:-1], algorithm.size) if is_sequence else None
    if not algorithm.is_hexadecimal:
        return decoded(text, algorithm.size)
    if re.fullmatch(r"[0-9A-Fa-f]{1,8}", text):  # leading zeros are often left out
        return int(text, 16).to_bytes(algorithm.size, "big")
    return None


def told_digests(
    headers: Mapping[str, str], checksums: Mapping[str, str], etag: str, *, is_whole: bool
) -> dict[str, str]:
    """Return the fields that answer what a request wants to know of an object.

    `checksums` are those stored of the whole object, `etag` its ETag, without quotes, where that
    is an MD5 ("" elsewhere). Content-Digest is told only where the answer `is_whole`.
    """
    fields = {}
    for wish, field in zip(WANTS, PROMISES, strict=True):
        if wish not in headers or (field == "content-digest" and not is_whole):
            continue
        is_old = field == "digest"
        known = (
            (algorithm, _stored(algorithm, checksums, etag))
            for algorithm in _wanted(headers[wish], is_old=is_old)
        )
        told = [_write(one, digest, is_old=is_old) for one, digest in known if digest is not None]
        if told:
            fields[field] = ", ".join(told) if not is_old else ",".join(told)
    return fields


def _wanted(text: str, *, is_old: bool) -> list[DigestAlgorithm]:
    """Return the algorithms that are wanted, the most wanted first."""
    weighted: list[tuple[float, DigestAlgorithm]] = []
    for item in text.split(",")[:_MAX_ITEMS]:
        name, _, weight = item.strip().partition(";" if is_old else "=")
        algorithm = _BY_NAME.get(name.strip().lower())
        number = _weight(weight.strip().removeprefix("q="))
        if algorithm is not None and number > 0:
            weighted.append((-number, algorithm))
    return list(dict.fromkeys(one for _, one in sorted(weighted, key=lambda pair: pair[0])))


def _weight(text: str) -> float:
    if not text:
        return 1.0
    return float(text) if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text) else 0.0


def _stored(algorithm: DigestAlgorithm, checksums: Mapping[str, str], etag: str) -> bytes | None:
    if algorithm.member == ADLER32:
        text = checksums.get(ADLER32)
        return None if text is None else bytes.fromhex(text)
    if algorithm.name == "md5" and len(etag) == 32:
        return bytes.fromhex(etag)
    return decoded(checksums.get(algorithm.member, ""), algorithm.size)


def _write(algorithm: DigestAlgorithm, digest: bytes, *, is_old: bool) -> str:
    encoded = b64encode(digest).decode()
    if not is_old:
        return f"{algorithm.key}=:{encoded}:"
    return f"{algorithm.name}={digest.hex() if algorithm.is_hexadecimal else encoded}"
