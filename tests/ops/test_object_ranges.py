"""Ranges: one, several, and too many."""

from __future__ import annotations

import random
import re
from email import message_from_bytes

import pytest

from s3server.ops.object_ranges import NEAR_BYTES, PIECE_BYTES, near_groups
from tests.support.asgi_client import Answer
from tests.support.served import Store

SIZE = 3_000_000
BODY = random.Random(7).randbytes(SIZE)


@pytest.fixture
async def read(data: Store) -> Store:
    await data.alice.made("/data/key", body=BODY, headers={"content-type": "text/plain"})
    await data.alice.made("/data/ten", body=b"0123456789")
    await data.alice.made("/data/empty")
    return data


SINGLE = {
    "bytes=0-0": b"0",
    "bytes=2-4": b"234",
    "bytes=5-": b"56789",
    "bytes=9-": b"9",
    "bytes=-3": b"789",
    "bytes=-100": b"0123456789",
    "bytes=0-100": b"0123456789",
    "BYTES=1-1": b"1",
    "bytes= 1-2 ": b"12",
    "bytes=1-2,": b"12",
    "bytes=1-2, 20-30": b"12",
    "bytes=4-99999999999999999999999999": b"456789",
}


@pytest.mark.parametrize("header", sorted(SINGLE))
async def test_one_range_is_sent_alone(read: Store, header: str) -> None:
    answer = await read.alice("GET", "/data/ten", headers={"range": header})
    expected = SINGLE[header]
    start = int(expected[:1])
    assert (answer.status, answer.body) == (206, expected)
    assert answer.header("content-length") == str(len(expected))
    stop = start + len(expected) - 1
    assert answer.header("content-range") == f"bytes {start}-{stop}/10"


@pytest.mark.parametrize(
    "header",
    [
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=3-1",
        "bytes=1-2;3-4",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1-2,x",
        "bytes=1--2",
        "items=0-1",
        "bytes 0-1",
        "bytes=\u0661-2",
    ],
)
async def test_syntax_error_is_ignored(read: Store, header: str) -> None:
    answer = await read.alice("GET", "/data/ten", headers={"range": header})
    assert (answer.status, answer.body) == (200, b"0123456789")


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=11-12,20-30"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_range_beyond_the_end_is_unsatisfiable(read: Store, header: str, method: str) -> None:
    answer = await read.alice(method, "/data/ten", headers={"range": header})
    assert answer.status == 416
    assert answer.header("content-range") == "bytes */10"
    if method == "GET":
        assert answer.code == "InvalidRange"
        assert answer.text("RangeRequested") == header
        assert answer.text("ActualObjectSize") == "10"


async def test_no_range_of_an_empty_object_is_satisfiable(read: Store) -> None:
    answer = await read.alice("GET", "/data/empty", headers={"range": "bytes=0-"})
    assert answer.outcome == (416, "InvalidRange")


def parts_of(answer: Answer) -> list[tuple[str, str, bytes]]:
    """Return (type, range, bytes) of each part, as Python's MIME parser sees the answer."""
    head = f"Content-Type: {answer.header('content-type')}\r\nContent-Transfer-Encoding: binary"
    message = message_from_bytes(head.encode() + b"\r\n\r\n" + answer.body)
    assert message.is_multipart()
    return [
        (
            part.get_content_type(),
            part["Content-Range"],
            part.get_payload().encode("ascii", "surrogateescape"),
        )
        for part in message.get_payload()
    ]


async def test_several_ranges_come_in_the_order_that_was_asked_for(read: Store) -> None:
    answer = await read.alice("GET", "/data/ten", headers={"range": "bytes=7-8,0-1,-1"})
    assert answer.status == 206
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.header("content-range") is None
    assert parts_of(answer) == [
        ("binary/octet-stream", "bytes 7-8/10", b"78"),
        ("binary/octet-stream", "bytes 0-1/10", b"01"),
        ("binary/octet-stream", "bytes 9-9/10", b"9"),
    ]


async def test_head_of_several_ranges_tells_their_length(read: Store) -> None:
    header = {"range": "bytes=7-8,0-1"}
    got = await read.alice("GET", "/data/ten", headers=header)
    head = await read.alice("HEAD", "/data/ten", headers=header)
    assert (head.status, head.body) == (206, b"")
    assert head.header("content-length") == got.header("content-length")
    kinds = [(one.header("content-type") or "").partition("boundary=") for one in (head, got)]
    assert kinds[0][0] == kinds[1][0] == "multipart/byteranges; "
    assert kinds[0][2] != kinds[1][2]  # no object can hold the boundary of an answer to come


def spans_in(answer: Answer) -> list[tuple[int, int, bytes]]:
    """Return the parts by walking the answer as a reader of columnar files does."""
    boundary = (answer.header("content-type") or "").partition("boundary=")[2].encode()
    found, position = [], 0
    pattern = re.compile(
        rb"\r\n--" + boundary + rb"\r\nContent-Type: text/plain\r\n"
        rb"Content-Range: bytes (\d+)-(\d+)/(\d+)\r\n\r\n"
    )
    while match := pattern.match(answer.body, position):
        first, last = int(match[1]), int(match[2])
        position = match.end() + last - first + 1
        found.append((first, last + 1, answer.body[match.end() : position]))
    assert answer.body[position:] == b"\r\n--" + boundary + b"--\r\n"
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_vector_read_of_1024_ranges_gives_every_byte(read: Store, seed: int) -> None:
    rng = random.Random(seed)
    spans = [(start, start + rng.randint(1, 2_000)) for start in range(0, 2_900_000, 2_832)]
    rng.shuffle(spans)
    spans = spans[:1_024]
    header = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    answer = await read.alice("GET", "/data/key", headers={"range": header})
    assert answer.status == 206
    assert answer.header("content-length") == str(len(answer.body))
    assert spans_in(answer) == [(start, stop, BODY[start:stop]) for start, stop in spans]


async def test_ranges_larger_than_a_piece_are_streamed(read: Store) -> None:
    header = {"range": f"bytes=0-{PIECE_BYTES + 5},2000000-2000009,2000020-2999999"}
    answer = await read.alice("GET", "/data/key", headers=header)
    assert spans_in(answer) == [
        (start, stop, BODY[start:stop])
        for start, stop in ((0, PIECE_BYTES + 6), (2_000_000, 2_000_010), (2_000_020, SIZE))
    ]


async def test_more_than_1024_ranges_get_the_whole_object(read: Store) -> None:
    header = {"range": "bytes=" + ",".join(f"{at}-{at}" for at in range(1_025))}
    answer = await read.alice("GET", "/data/key", headers=header)
    assert (answer.status, answer.body) == (200, BODY)


async def test_overlapping_ranges_never_cost_more_than_the_object(read: Store) -> None:
    header = {"range": "bytes=" + ",".join(["0-"] * 1_024)}
    before = read.pool.calls
    answer = await read.alice("GET", "/data/key", headers=header)
    assert (answer.status, answer.body) == (200, BODY)
    assert read.pool.calls - before == 1


async def test_near_ranges_are_read_in_few_pieces(read: Store) -> None:
    spans = [(start, start + 100) for start in range(0, 500_000, 500)]
    header = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    before = read.pool.calls
    answer = await read.alice("GET", "/data/key", headers={"range": header})
    assert len(spans_in(answer)) == len(spans)
    assert read.pool.calls - before == 1


async def test_if_range_is_answered_with_the_whole_object_where_it_changed(read: Store) -> None:
    """RFC 9110, 13.1.5: who resumes a download never joins bytes of two objects."""
    told = await read.alice("HEAD", "/data/ten")
    etag, modified = told.header("etag") or "", told.header("last-modified") or ""
    earlier = "Wed, 21 Oct 2015 07:28:00 GMT"
    for if_range, status in (
        (etag, 206),
        (modified, 206),
        ('"0"', 200),
        (f"W/{etag}", 200),
        (earlier, 200),
    ):
        headers = {"range": "bytes=0-1", "if-range": if_range}
        answer = await read.alice("GET", "/data/ten", headers=headers)
        body = b"01" if status == 206 else b"0123456789"
        assert (answer.status, answer.body) == (status, body), if_range
    beyond = {"range": "bytes=10-", "if-range": '"0"'}
    assert (await read.alice("GET", "/data/ten", headers=beyond)).status == 200


def test_groups_keep_order_and_cover_every_span() -> None:
    rng = random.Random(1)
    starts = [rng.randrange(10_000_000) for _ in range(500)]
    spans = [(start, start + rng.randrange(1, 50_000)) for start in starts]
    groups = near_groups(spans)
    assert [span for group in groups for span in group] == spans
    for group in groups:
        if len(group) > 1:
            low, high = min(group)[0], max(stop for _, stop in group)
            assert high - low <= PIECE_BYTES


def test_far_span_begins_a_group() -> None:
    assert near_groups([(0, 10), (10 + NEAR_BYTES, 20 + NEAR_BYTES)]) == [
        [(0, 10), (10 + NEAR_BYTES, 20 + NEAR_BYTES)]
    ]
    assert len(near_groups([(0, 10), (11 + NEAR_BYTES, 20 + NEAR_BYTES)])) == 2


async def test_parts_repeat_the_content_type_as_the_header_has_it(read: Store) -> None:
    kind = "text/plain; title=10€"
    await read.alice.made("/data/priced", body=b"0123456789", headers={"content-type": kind})
    answer = await read.alice("GET", "/data/priced", headers={"range": "bytes=0-0,4-4"})
    assert answer.status == 206
    assert answer.body.count(f"\r\nContent-Type: {kind}\r\n".encode()) == 2
