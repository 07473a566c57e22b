"""Codecs: any `needed` fragments give the stripe, and sizes and spans are what they say."""

from __future__ import annotations

import itertools

import pytest

from s3server.data.base import CorruptError
from s3server.data.codec import MAX_SHARDS, Replicate, codec_from_name, shard_size
from tests.support.blobs import pattern

NAMES = ["replica:1", "replica:3", "ec:1+1", "ec:2+1", "ec:4+2", "ec:8+3"]
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 100, 4095, 4096, 4097, 65536, 1 << 20]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_read_and_kept(name: str) -> None:
    assert codec_from_name(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "replica", "replica:0", "replica:-1", "replica:03", "replica:33", "ec:4", "ec:0+2",
     "ec:4+0", "ec:30+3", "ec:4+2 ", "raid:5", "REPLICA:3", "ec:4-2"],
)  # fmt: skip
def test_what_is_no_codec_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"codec|copies|ec:"):
        codec_from_name(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_fragment_size_is_that_of_every_fragment(name: str, size: int) -> None:
    codec = codec_from_name(name)
    fragments = codec.encode(memoryview(pattern(size)))
    assert [len(each) for each in fragments] == [codec.fragment_size(size)] * codec.total


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 5, 4097, 65536])
def test_any_needed_fragments_give_the_stripe(name: str, size: int) -> None:
    codec = codec_from_name(name)
    stripe = pattern(size)
    fragments = [bytes(each) for each in codec.encode(memoryview(stripe))]
    wrong = [
        chosen
        for chosen in itertools.combinations(range(codec.total), codec.needed)
        if codec.decode({index: fragments[index] for index in chosen}, size) != stripe
    ]
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_spans_hold_the_bytes_as_they_are(name: str) -> None:
    codec = codec_from_name(name)
    for size in (1, 5, 9, 100):
        stripe = pattern(size)
        fragments = codec.encode(memoryview(stripe))
        for start, stop in itertools.combinations(range(size + 1), 2):
            spans = codec.spans(range(codec.total), size, start, stop)
            assert spans is not None
            found = b"".join(bytes(fragments[shard][low:high]) for shard, low, high in spans)
            assert found == stripe[start:stop]


def test_spans_of_a_lost_data_shard_need_decoding() -> None:
    codec = codec_from_name("ec:4+2")
    assert codec.spans([0, 1, 3, 4, 5], 100, 50, 51) is None
    assert codec.spans([0, 1, 3, 4, 5], 100, 0, 50) is not None


def test_spans_of_copies_come_from_the_first_usable() -> None:
    assert Replicate(3).spans([1, 2], 100, 5, 9) == [(1, 5, 9)]
    assert Replicate(3).spans([], 100, 5, 9) is None


def test_too_few_fragments_are_refused() -> None:
    codec = codec_from_name("ec:4+2")
    fragments = codec.encode(memoryview(pattern(1000)))
    with pytest.raises(CorruptError):
        codec.decode({index: bytes(fragments[index]) for index in (0, 1, 5)}, 1000)
    with pytest.raises(CorruptError):
        Replicate(2).decode({}, 1000)


def test_stripe_of_another_size_is_refused() -> None:
    codec = codec_from_name("ec:2+1")
    fragments = codec.encode(memoryview(pattern(1000)))
    with pytest.raises(CorruptError):
        codec.decode({index: bytes(each) for index, each in enumerate(fragments)}, 999)


def test_shard_size_counts_the_last_short_stripe() -> None:
    codec = codec_from_name("ec:4+2")
    assert shard_size(codec, 2500, 1000) == 2 * (80 + 250) + 80 + 125
    assert shard_size(codec, 2000, 1000) == 2 * (80 + 250)
    assert shard_size(Replicate(MAX_SHARDS), 2500, 1000) == 2500
