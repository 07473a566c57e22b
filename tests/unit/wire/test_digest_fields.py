"""Digest and Want-Digest (RFC 3230), Repr-Digest and Content-Digest (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.errors import InvalidDigest
from s3server.wire.checksums import combine_adler32, whole_adler32
from s3server.wire.digest_fields import promised_digests, told_digests

BODY = b"Wikipedia"
ADLER = "11e60398"  # Wikipedia, "Adler-32", example
MD5 = hashlib.md5(BODY).hexdigest()
SUMS = {"Adler32": ADLER}


def sequence(hexadecimal: str) -> str:
    return f":{base64.b64encode(bytes.fromhex(hexadecimal)).decode()}:"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"want-digest": "adler32"}, {"digest": f"adler32={ADLER}"}),
        ({"want-digest": "ADLER32;q=0.5, sha"}, {"digest": f"adler32={ADLER}"}),
        (
            {"want-digest": "adler32;q=0.5,md5"},
            {"digest": f"md5={base64.b64encode(bytes.fromhex(MD5)).decode()},adler32={ADLER}"},
        ),
        ({"want-repr-digest": "adler=5"}, {"repr-digest": f"adler={sequence(ADLER)}"}),
        ({"want-content-digest": "md5=1"}, {"content-digest": f"md5={sequence(MD5)}"}),
        ({"want-digest": "adler32;q=0"}, {}),
        ({"want-repr-digest": "adler=0"}, {}),
        ({"want-digest": "sha-512, unknown;q=x, ;"}, {}),
        ({}, {}),
    ],
)
def test_what_is_wanted_and_known_is_told(headers: dict[str, str], told: dict[str, str]) -> None:
    assert told_digests(headers, SUMS, MD5, is_whole=True) == told


def test_content_digest_is_not_told_of_a_part() -> None:
    assert told_digests({"want-content-digest": "md5"}, SUMS, MD5, is_whole=False) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"digest": "adler32=xyz"},
        {"digest": "adler32="},
        {"digest": "adler32=123456789"},
        {"digest": "md5=AAAA"},
        {"digest": "sha-256=:AAAA:"},
        {"repr-digest": f"adler={ADLER}"},
        {"content-digest": "md5=::"},
    ],
)
def test_promise_that_cannot_be_read_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidDigest):
        promised_digests(headers)


def test_promises_are_read() -> None:
    headers = {"digest": f"Adler32={ADLER},unknown=1", "repr-digest": f"md5={sequence(MD5)}"}
    assert [(one.name, digest.hex()) for one, digest in promised_digests(headers)] == [
        ("adler32", ADLER),
        ("md5", MD5),
    ]
    short = promised_digests({"digest": "adler32=1"})
    assert short[0][1] == bytes.fromhex("00000001")


@given(st.text(max_size=80), st.sampled_from(["digest", "repr-digest", "content-digest"]))
def test_any_field_is_read_or_refused(text: str, field: str) -> None:
    with suppress(InvalidDigest):
        promised_digests({field: text})
    told_digests({f"want-{field}": text}, SUMS, MD5, is_whole=True)


@given(st.lists(st.binary(max_size=70_000), min_size=1, max_size=5))
def test_adler32_of_parts_is_that_of_the_whole(pieces: list[bytes]) -> None:
    parts = [({"Adler32": f"{zlib.adler32(piece):08x}"}, len(piece)) for piece in pieces]
    assert whole_adler32(parts) == ("Adler32", f"{zlib.adler32(b''.join(pieces)):08x}")


@given(st.integers(0, 1 << 42), st.binary(max_size=50))
def test_adler32_of_terabytes_is_combined(size: int, start: bytes) -> None:
    """Of zeros only the size counts: the low sum stays, the high one grows by it."""
    zeros = (size % 65_521 << 16) | 1
    low, high = zlib.adler32(start) & 0xFFFF, zlib.adler32(start) >> 16
    expected = (high + size * low) % 65_521 << 16 | low
    assert combine_adler32(zlib.adler32(start), zeros, size) == expected


def test_adler32_is_not_known_where_a_part_lacks_it() -> None:
    assert whole_adler32([({"Adler32": ADLER}, 9), ({}, 3)]) is None
