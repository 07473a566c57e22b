"""Adler-32 and the digests of HTTP: told on request, verified when sent, kept by multipart."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from tests.support.served import Store
from tests.support.uploads import complete_upload

BODY = b"content of an object" * 5_000
ADLER = f"{zlib.adler32(BODY):08x}"
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
WANT = {"want-digest": "adler32"}
PART = 5 * 1024 * 1024


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_adler32_of_every_object_is_told(data: Store, method: str) -> None:
    await data.alice.made("/data/key", body=BODY)
    await data.alice.made("/data/empty")
    got = await data.alice(method, "/data/key", headers=WANT)
    assert (got.status, got.header("digest")) == (200, f"adler32={ADLER}")
    empty = await data.alice(method, "/data/empty", headers=WANT)
    assert empty.header("digest") == "adler32=00000001"
    plain = await data.alice(method, "/data/key")
    assert plain.header("digest") is None


async def test_digest_is_of_the_object_also_with_a_range(data: Store) -> None:
    await data.alice.made("/data/key", body=BODY)
    headers = {**WANT, "want-content-digest": "adler=1", "range": "bytes=0-9"}
    got = await data.alice("GET", "/data/key", headers=headers)
    assert (got.status, got.header("digest")) == (206, f"adler32={ADLER}")
    assert got.header("content-digest") is None


async def test_names_of_rfc_9530_are_known(data: Store) -> None:
    await data.alice.made("/data/key", body=BODY, headers={"x-amz-checksum-sha256": SHA256})
    headers = {"want-repr-digest": "sha-256=10, adler=1", "want-content-digest": "sha-256=1"}
    got = await data.alice("GET", "/data/key", headers=headers)
    adler = base64.b64encode(bytes.fromhex(ADLER)).decode()
    assert got.header("repr-digest") == f"sha-256=:{SHA256}:, adler=:{adler}:"
    assert got.header("content-digest") == f"sha-256=:{SHA256}:"


@pytest.mark.parametrize(
    "headers",
    [
        {"digest": f"adler32={ADLER}"},
        {"digest": f"ADLER32={ADLER.upper()},sha-256={SHA256}"},
        {"repr-digest": f"sha-256=:{SHA256}:"},
        {"content-digest": f"sha-256=:{SHA256}:"},
        {"digest": "unknown=1"},
    ],
)
async def test_digest_that_is_right_is_taken(data: Store, headers: dict[str, str]) -> None:
    assert (await data.alice("PUT", "/data/key", body=BODY, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"digest": "adler32=00000001"}, "BadDigest"),
        ({"digest": f"adler32={ADLER},md5=AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({"repr-digest": f"sha-256=:{'A' * 43}=:"}, "BadDigest"),
        ({"digest": "adler32=none"}, "InvalidDigest"),
    ],
)
async def test_digest_that_is_wrong_is_refused(
    data: Store, headers: dict[str, str], code: str
) -> None:
    answer = await data.alice("PUT", "/data/key", body=BODY, headers=headers)
    assert answer.outcome == (400, code)
    assert (await data.alice("GET", "/data/key")).status == 404


@pytest.mark.parametrize("algorithm", ["", "CRC32C", "SHA256", "XXHASH128"])
async def test_adler32_of_a_multipart_object_is_that_of_its_bytes(
    data: Store, algorithm: str
) -> None:
    pieces = [b"a" * PART, bytes(range(256)) * (PART // 256), b"end"]
    await complete_upload(data.alice, "/data/key", pieces, algorithm=algorithm)
    headers = {"want-digest": "adler32, sha-256, md5", "want-content-digest": "crc32c=1"}
    got = await data.alice("HEAD", "/data/key", headers=headers)
    assert got.header("digest") == f"adler32={zlib.adler32(b''.join(pieces)):08x}"
    assert got.header("content-digest") is None  # the parts' checksums are of no digest field


async def test_copy_keeps_the_adler32(data: Store) -> None:
    await data.alice.made("/data/key", body=BODY)
    await data.alice.made("/data/copy", headers={"x-amz-copy-source": "/data/key"})
    got = await data.alice("HEAD", "/data/copy", headers=WANT)
    assert got.header("digest") == f"adler32={ADLER}"


NEWER = {
    "sha512": hashlib.sha512(BODY).digest(),
    "md5": hashlib.md5(BODY).digest(),
}


@pytest.mark.parametrize("name", sorted(NEWER))
async def test_newer_checksums_are_verified_and_told(data: Store, name: str) -> None:
    header = f"x-amz-checksum-{name}"
    value = base64.b64encode(NEWER[name]).decode()
    put = await data.alice("PUT", "/data/key", body=BODY, headers={header: value})
    assert (put.status, put.header(header)) == (200, value)
    asked = {"x-amz-checksum-mode": "ENABLED"}
    assert (await data.alice("GET", "/data/key", headers=asked)).header(header) == value
    wrong = base64.b64encode(bytes(len(NEWER[name]))).decode()
    answer = await data.alice("PUT", "/data/key", body=BODY, headers={header: wrong})
    assert answer.outcome == (400, "BadDigest")


# XXH64, XXH3-64 and XXH3-128 with seed 0 of b"" and b"abc", from the xxHash specification's tool.
XXH = {
    "xxhash64": ("ef46db3751d8e999", "44bc2cf5ad770999"),
    "xxhash3": ("2d06800538d394c2", "78af5f94892f3950"),
    "xxhash128": ("99aa06d3014798d86001c324468d497f", "06b05ab6733a618578af5f94892f3950"),
}


@pytest.mark.parametrize("name", sorted(XXH))
async def test_xx_hashes_are_those_of_their_specification(data: Store, name: str) -> None:
    for body, expected in zip((b"", b"abc"), XXH[name], strict=True):
        value = base64.b64encode(bytes.fromhex(expected)).decode()
        headers = {f"x-amz-checksum-{name}": value}
        put = await data.alice("PUT", "/data/key", body=body, headers=headers)
        assert put.status == 200, put.body
