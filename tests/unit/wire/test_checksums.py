"""Checksums: known answers, pieces, and those of multipart objects."""

import hashlib
import zlib
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.errors import BadDigest, InvalidRequest
from s3server.wire.checksums import (
    ALGORITHMS,
    BY_HEADER,
    composite,
    decoded,
    full_object,
    whole_checksum,
)

CRCS = ["CRC32", "CRC32C", "CRC64NVME"]


def digest(name, content):
    running = ALGORITHMS[name].new()
    running.update(content)
    return running.digest()


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # the check values of the CRC catalogue, of "123456789"
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_known_answers(name, expected):
    assert digest(name, b"123456789").hex() == expected


@given(content=st.binary(max_size=300), cut=st.integers(0, 300))
def test_pieces_of_any_buffer_give_the_same(content, cut):
    for name in ALGORITHMS:
        running = ALGORITHMS[name].new()
        running.update(memoryview(bytearray(content))[:cut])
        running.update(bytearray(content[cut:]))
        assert running.digest() == digest(name, content)
    assert int.from_bytes(digest("CRC32", content), "big") == zlib.crc32(content)


@given(parts=st.lists(st.binary(max_size=100), min_size=1, max_size=5))
def test_crcs_of_parts_combine_to_the_crc_of_the_whole(parts):
    for name in CRCS:
        algorithm = ALGORITHMS[name]
        combined = full_object(algorithm, [digest(name, p) for p in parts], [len(p) for p in parts])
        assert combined == b64encode(digest(name, b"".join(parts))).decode()


def test_shas_do_not_combine():
    with pytest.raises(InvalidRequest):
        full_object(ALGORITHMS["SHA1"], [bytes(20)], [1])


def test_composite_is_the_checksum_of_checksums_with_their_count():
    parts = [hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()]
    expected = b64encode(hashlib.sha256(b"".join(parts)).digest()).decode() + "-2"
    assert composite(ALGORITHMS["SHA256"], parts) == expected


def stored(name, *contents):
    member = ALGORITHMS[name].member
    return [({member: b64encode(digest(name, c)).decode()}, len(c)) for c in contents]


def test_whole_checksum_follows_the_type_of_the_upload():
    parts = stored("CRC32", b"first", b"second")
    whole = b64encode(digest("CRC32", b"firstsecond")).decode()
    for kind in ["FULL_OBJECT", ""]:
        found = whole_checksum({}, algorithm="CRC32", checksum_type=kind, parts=parts)
        assert found == ("ChecksumCRC32", whole)
    member, value = whole_checksum({}, algorithm="CRC32", checksum_type="COMPOSITE", parts=parts)
    assert member == "ChecksumCRC32"
    assert value.endswith("-2")


def test_without_algorithm_the_crc_that_all_parts_share_is_taken():
    parts = stored("CRC64NVME", b"first", b"second")
    whole = b64encode(digest("CRC64NVME", b"firstsecond")).decode()
    found = whole_checksum({}, algorithm="", checksum_type="", parts=parts)
    assert found == ("ChecksumCRC64NVME", whole)
    mixed = [*stored("CRC32", b"first"), *stored("CRC32C", b"second")]
    assert whole_checksum({}, algorithm="", checksum_type="", parts=mixed) is None


def test_part_without_the_checksum_leaves_the_whole_without():
    parts = [*stored("CRC32", b"first"), ({}, 6)]
    assert whole_checksum({}, algorithm="CRC32", checksum_type="COMPOSITE", parts=parts) is None


def test_stated_checksum_of_the_whole_is_verified():
    parts = stored("CRC32", b"first", b"second")
    _, value = whole_checksum({}, algorithm="CRC32", checksum_type="", parts=parts)
    request = {"ChecksumCRC32": value}
    assert whole_checksum(request, algorithm="CRC32", checksum_type="", parts=parts)[1] == value
    with pytest.raises(BadDigest):
        whole_checksum(
            {"ChecksumCRC32": "AAAAAA=="}, algorithm="CRC32", checksum_type="", parts=parts
        )


@pytest.mark.parametrize(
    "text", ["", "AAAA", "AAAAAAA=", "AAAA=A==", "AAAAAA== ", "é", "AA\nAAAA=="]
)
def test_only_base64_of_the_right_length_is_a_digest(text):
    assert decoded(text, 4) is None


@given(st.binary(min_size=4, max_size=4))
def test_base64_of_the_right_length_is_a_digest(raw):
    text = b64encode(raw).decode()
    assert decoded(text, 4) == raw == b64decode(text)


def test_headers_name_the_algorithms():
    assert {h.removeprefix("x-amz-checksum-").upper() for h in BY_HEADER} == set(ALGORITHMS)
